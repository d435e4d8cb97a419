/**
 * The open calls of the delegation port, each with the grounds on which it was admitted, so that a later change ends
 * it. `live/registry.ts` keeps them and `live/judge.ts` judges them; this file ends them: cut with a reason, then reset
 * if the caller does not read it.
 */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import type { MeshError } from '@clawmesh/proto'
import type { OpenRecord } from '../../audit/open-record.ts'
import type { Voucher } from '../../live/grounds.ts'
import {
  judgeAdmitted,
  type PolicyFault,
  type SigningKeys,
  type Standing,
} from '../../live/judge.ts'
import {
  createRegistry,
  type OpenWork,
  openRecordsOf,
  type Place as RegistryPlace,
} from '../../live/registry.ts'
import { createTrust } from '../../live/trust.ts'
import { decideDelegation } from '../../policy/decide/decide-delegation.ts'
import type { DelegationQuestion } from '../../policy/decide/decision.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import type { AdmittedCall } from './admitted.ts'
import { faultInWords } from './fault-in-words.ts'

export interface LiveCall {
  /** Ends it with an error of the gateway, in trailers. */
  cut(error: MeshError): void
  /** Ends it at once, for a caller that does not read its trailers. Does nothing after the end. */
  reset(): void
}

/** The entry of one call in the registry. */
export interface Place extends RegistryPlace {
  readonly stream: LiveCall
  readonly call: AdmittedCall
  /** The last generation of policy that allowed it. */
  judgedBy: number
}

export interface LiveCalls {
  readonly size: number
  /** Grows with each change that may end calls: a call that was judged before the change is judged again. */
  readonly epoch: number
  /** Why a call may not begin or go on; null when it may. */
  judge(call: AdmittedCall): MeshError | null
  /** @param opening writes its opening record once it has been open for long */
  add(stream: LiveCall, call: AdmittedCall, opening?: OpenRecord): Place
  /** To be called once for each place. */
  remove(place: Place): void
  /** The open calls. @param most how many records */
  open(most: number): OpenWork
  close(): void
}

export interface LiveCallsOptions {
  readonly identity: {
    current(): Pick<IdentitySnapshot, 'roots' | 'certificateChain'>
    onChange(listener: () => void): () => void
  }
  readonly policy: {
    current(): PolicySnapshot
    onChange?(listener: () => void): () => void
  }
  readonly revocations: RevocationJudge & { onChange(listener: () => void): () => void }
  /** The keys by which tokens verify now. Default: any key. */
  readonly keys?: (SigningKeys & { onChange(listener: () => void): () => void }) | undefined
  readonly metrics: Pick<Metrics, 'cut'>
  /** How often expired grounds are looked for, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** The time in which the caller must read the trailers of a cut stream, in milliseconds. Default 300. */
  readonly graceMs?: number
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

const ALL_KEYS: SigningKeys = Object.freeze({ verifies: () => true })

export function createLiveCalls(options: LiveCallsOptions): LiveCalls {
  const { identity, policy, revocations, metrics, now = Date.now } = options
  const { sweepMs = 250, graceMs = 300 } = options
  const decide = decideBy(policy)
  const lingering = new Lingering(graceMs)
  let generation = policy.current().generation
  const standing: Standing = {
    ...{ trust: createTrust(identity), revocations, keys: options.keys ?? ALL_KEYS },
    get nowMs() {
      return now()
    },
  }
  const places = createRegistry<Place>({ look, now, sweepMs })
  /** A call within a tree has two places. */
  let calls = 0

  /** @param judgedBy the generation of policy that last allowed it; null for none */
  function judge(call: AdmittedCall, judgedBy: number | null): MeshError | null {
    const again = policy.current().generation !== judgedBy
    const fault = judgeAdmitted(call, standing, again ? decide : null)
    return fault === null ? null : faultInWords(fault, call)
  }

  function look(place: Place): void {
    const { generation: by } = policy.current()
    const error = judge(place.call, place.judgedBy)
    if (error === null) {
      place.judgedBy = by
      return
    }
    metrics.cut('delegation', error.code)
    // before the cut, which removes the place
    lingering.add(place.stream)
    place.stream.cut(error)
  }

  function changed(): void {
    generation = policy.current().generation
    places.changed()
  }

  function tick(): void {
    // a policy without an `onChange` is polled here
    if (policy.current().generation !== generation) changed()
    lingering.resetOverdue()
  }

  const unfollow = onAnyChange(options, changed)
  const timer = setInterval(tick, sweepMs).unref()

  return {
    get size() {
      return places.size
    },
    get epoch() {
      return places.epoch
    },
    judge: (call) => judge(call, null),
    add(stream, call, opening) {
      const { caller, callee } = call.grounds
      const endMs = Math.min(endOf(caller), endOf(callee))
      const { epoch } = places
      const judgedBy = generation
      const place: Place = { stream, call, endMs, epoch, judgedBy, opening, index: -1 }
      places.add(place)
      if (opening !== undefined) calls += 1
      return place
    },
    remove(place) {
      if (places.remove(place) && place.opening !== undefined) calls -= 1
    },
    open: (most) => ({ count: calls, records: openRecordsOf(places, most) }),
    close() {
      clearInterval(timer)
      unfollow()
      places.close()
      lingering.clear()
    },
  }
}

/** Streams that were cut, and have time to be read; in order of time. */
class Lingering {
  readonly #graceMs: number
  #streams: { readonly stream: LiveCall; readonly untilMs: number }[] = []

  constructor(graceMs: number) {
    this.#graceMs = graceMs
  }

  add(stream: LiveCall): void {
    this.#streams.push({ stream, untilMs: performance.now() + this.#graceMs })
  }

  resetOverdue(): void {
    const nowMs = performance.now()
    const streams = this.#streams
    let overdue = 0
    while (overdue < streams.length && (streams[overdue]?.untilMs ?? 0) <= nowMs) {
      streams[overdue]?.stream.reset()
      overdue += 1
    }
    if (overdue > 0) this.#streams = this.#streams.slice(overdue)
  }

  clear(): void {
    this.#streams = []
  }
}

function decideBy(
  policy: LiveCallsOptions['policy'],
): (question: DelegationQuestion) => PolicyFault | null {
  return (question) => {
    const { action, code, rule, hint } = decideDelegation(question, policy.current())
    return action === 'deny' ? { code: code ?? 'MESH_POLICY_NOT_ALLOWED', rule, hint } : null
  }
}

/** Listens to all that can end a call. Returns what ends that. */
function onAnyChange(options: LiveCallsOptions, changed: () => void): () => void {
  const ends = [
    options.identity.onChange(changed),
    options.revocations.onChange(changed),
    options.keys?.onChange(changed),
    options.policy.onChange?.(changed),
  ]
  return () => {
    for (const end of ends) end?.()
  }
}

/** After this time the certificate is judged again, and found expired. */
function endOf(certificate: Voucher | null): number {
  if (certificate === null || certificate.rootFingerprint === null) return Number.POSITIVE_INFINITY
  return certificate.notAfter.getTime() + 1
}
