/**
 * The open tunnels with all that can end them: revocations, keys, the trust bundle and policy. Each change judges them
 * again.
 */
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { ErrorCode } from '@clawmesh/proto'
import type { Limits } from '../../limits/limits.ts'
import { judgeAdmitted, type SigningKeys, type Standing } from '../../live/judge.ts'
import { type BundleTrust, createTrust } from '../../live/trust.ts'
import type { ListenAddress } from '../../net/port.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { Revocations } from '../../revocation/revocations.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import { decideAgain, type PolicyView } from '../policy-view.ts'
import { faultInWords } from './fault-in-words.ts'
import type { LiveTunnel } from './live-tunnel.ts'
import { createTunnels, type Tunnels } from './live-tunnels.ts'

export interface JudgedTunnels {
  readonly tunnels: Tunnels
  /** The trust bundle of the mesh. */
  readonly bundle: BundleTrust
  /** The current keys, revocations and trust, by which grounds are judged. */
  readonly standing: Standing
  /** Why an open or admitted tunnel may not go on now; null when it may. */
  judgeAgain(tunnel: Omit<LiveTunnel, 'end'>): ErrorCode | null
  /** Stops following changes. */
  close(): void
}

type Followed = { onChange(listener: () => void): () => void }

export interface JudgedTunnelsOptions {
  readonly policy: { onChange(listener: (snapshot: PolicySnapshot) => void): () => void }
  readonly view: () => PolicyView
  readonly revocations: Pick<Revocations, keyof Standing['revocations'] | 'onChange'>
  /** Default: certificates are not checked against a bundle. */
  readonly identity?: Pick<IdentityStore, 'current' | 'onChange'> | undefined
  /** Default: any key verifies tokens. */
  readonly keys?: (SigningKeys & Followed) | undefined
  /** All addresses of the gateway. */
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly limits: Pick<Limits, 'enter'>
  readonly metrics: Pick<Metrics, 'cut'>
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

const ALL_KEYS: SigningKeys = Object.freeze({ verifies: () => true })

export function createJudgedTunnels(options: JudgedTunnelsOptions): JudgedTunnels {
  const { policy, view, revocations, identity, keys, ownAddresses, limits, metrics, now } = options
  const bundle = createTrust(identity ?? null)
  const standing: Standing = {
    ...{ trust: bundle, revocations, keys: keys ?? ALL_KEYS },
    get nowMs() {
      return now()
    },
  }

  /** @param judgedBy the last generation of policy that allowed it */
  function judge(tunnel: Omit<LiveTunnel, 'end'>, judgedBy: number): ErrorCode | null {
    const current = view()
    const decide =
      current.generation === judgedBy ? null : decideAgain(current, tunnel.ip, ownAddresses)
    const fault = judgeAdmitted(tunnel.admitted, standing, decide)
    return fault === null ? null : faultInWords(fault).code
  }

  const tunnels = createTunnels({
    ...{ now, judge, limits },
    boundsOf: (agent) => view().bounds(agent),
    generation: () => view().generation,
    onCut: (code) => metrics.cut('egress', code),
  })
  const unfollow = [
    policy.onChange(() => tunnels.judgeAndTrim()),
    ...[revocations, keys, identity].map((what) => what?.onChange(() => tunnels.judge())),
  ]

  return {
    ...{ tunnels, bundle, standing },
    judgeAgain(tunnel) {
      // it was admitted under a policy with higher limits, or while open tunnels were still being recounted
      if (!tunnel.counted || view().generation !== tunnel.generation) tunnels.trimSoon()
      return judge(tunnel, tunnel.generation)
    },
    close() {
      for (const end of unfollow) end?.()
    },
  }
}
