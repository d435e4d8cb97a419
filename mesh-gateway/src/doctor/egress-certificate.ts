/** Checks the certificate of the egress port, where it runs TLS. It need not be one of the mesh. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { span } from '../text/time-span.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface EgressCertificateFacts {
  readonly dir: string
  /** A string says why there is none. */
  readonly leaf: X509Certificate | string
  readonly keyFits: boolean
  readonly nowMs: number
}

const MAX_BYTES = 256 * 1024

const TODO = 'get a new certificate, and put tls.crt and tls.key into'

export function checkEgressCertificate(facts: EgressCertificateFacts): CheckResult {
  const { dir, leaf } = facts
  const check = 'egress certificate'
  const todo = `${TODO} ${shellWord(dir)}`
  if (typeof leaf === 'string')
    return result(check, dir, { what: leaf, why: 'the egress port does not start', todo })
  return result(
    check,
    `${dir}: until ${leaf.validToDate.toISOString()}`,
    mismatch(facts),
    time(leaf, facts),
  )
}

export async function readEgressCertificate(
  dir: string,
): Promise<Pick<EgressCertificateFacts, 'dir' | 'leaf' | 'keyFits'>> {
  try {
    // the first block is the leaf, and OpenSSL reads only that
    const leaf = new X509Certificate(await readWhole(join(dir, 'tls.crt'), { maxBytes: MAX_BYTES }))
    const key = createPrivateKey(await readWhole(join(dir, 'tls.key'), { maxBytes: MAX_BYTES }))
    return { dir, leaf, keyFits: leaf.checkPrivateKey(key) }
  } catch (error) {
    // without OpenSSL's message, which is about a private key
    const why = `tls.crt or tls.key in ${dir} cannot be read (${describeFileFault(error)})`
    return { dir, leaf: why, keyFits: false }
  }
}

function mismatch({ dir, keyFits }: EgressCertificateFacts): Finding | null {
  if (keyFits) return null
  const what = `${dir}: tls.key does not fit the certificate in tls.crt`
  return { what, why: 'the egress port does not start', todo: `${TODO} ${shellWord(dir)}` }
}

function time(leaf: X509Certificate, { dir, nowMs }: EgressCertificateFacts): Finding | null {
  const todo = `${TODO} ${shellWord(dir)}`
  const why = 'clients of the egress port refuse it'
  const [begin, end] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()]
  if (nowMs < begin)
    return {
      what: `${dir}: the certificate is valid from ${leaf.validFromDate.toISOString()}`,
      why,
      todo: 'timedatectl status, then set the clock right',
    }
  if (nowMs > end)
    return {
      what: `${dir}: the certificate expired at ${leaf.validToDate.toISOString()}`,
      why,
      todo,
    }
  if (end - nowMs > (end - begin) / 3) return null
  return {
    what: `${dir}: the certificate ends in ${span(end - nowMs)}`,
    why: `once it has ended, ${why}`,
    todo,
  }
}
