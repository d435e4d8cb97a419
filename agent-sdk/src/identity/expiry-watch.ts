/** Says in the log that the certificate of this process ends: in good time before, again shortly before, and when it has. */
import type { Log } from '../log.ts'
import type { IdentitySnapshot } from '../tls/identity-snapshot.ts'

export interface ExpiryWatch {
  /** Says what there is to say once for each certificate. @param nowMs milliseconds since the epoch */
  look(snapshot: IdentitySnapshot, nowMs: number): void
}

/** Parts of its life that are left: renewal is due at two thirds, so the first means that it did not come. */
const LEFT = [1 / 3, 1 / 10]
const HINT = 'issue it again into its directory, it is followed: mesh-pki issue'

export function createExpiryWatch(log: Log): ExpiryWatch {
  let generation = 0
  let said = 0
  return {
    look(snapshot, nowMs) {
      if (snapshot.generation !== generation) said = 0
      generation = snapshot.generation
      const { identity, notBefore, notAfter } = snapshot
      const leftMs = notAfter.getTime() - nowMs
      const lifeMs = notAfter.getTime() - notBefore.getTime()
      const due =
        leftMs < 0 ? LEFT.length + 1 : LEFT.filter((part) => leftMs < lifeMs * part).length
      if (due <= said) return
      said = due
      const fields = { ...describe(snapshot), hint: HINT }
      const whose = `the certificate of ${identity.id}`
      if (leftMs < 0)
        log.error(
          fields,
          `${whose} has expired and was not renewed: the other side of every new connection refuses it`,
        )
      else
        log.warn(
          fields,
          `${whose} ends at ${notAfter.toISOString()}, in ${minutes(leftMs)}, and was not renewed`,
        )
    },
  }
}

/** What a line of the log says of an identity. */
export function describe({
  generation,
  identity,
  fingerprint,
  notAfter,
}: IdentitySnapshot): object {
  return { identity: identity.id, generation, fingerprint, not_after: notAfter.toISOString() }
}

function minutes(ms: number): string {
  const whole = Math.floor(ms / 60_000)
  return whole < 120 ? `${whole} minutes` : `${Math.floor(whole / 60)} hours`
}
