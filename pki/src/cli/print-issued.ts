/** Reports what was issued: the identity, its files, its expiry. Never the key. */
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import { DEFAULT_TTL_MS, type IssuedCertificate } from '../ca/issue.ts'
import { formatDate, formatDuration } from '../verify/words.ts'
import type { Terminal } from './terminal.ts'

export interface PrintOptions {
  /** Absolute path of the files. */
  readonly where: string
  readonly json: boolean
  /** The requested validity, in milliseconds. Default 24 hours. */
  readonly wantedMs: number | undefined
}

export function printIssued(
  terminal: Terminal,
  issued: IssuedCertificate,
  { where, json, wantedMs = DEFAULT_TTL_MS }: PrintOptions,
): void {
  const { spiffeId, dnsNames, notBefore, notAfter, fingerprint } = issued
  const leftMs = notAfter.getTime() - Date.now()
  terminal.print(
    json
      ? printableJson({ path: where, spiffeId, dnsNames, notBefore, notAfter, fingerprint }, 2)
      : columns([
          ['SPIFFE ID', spiffeId],
          ['DNS', dnsNames],
          ['files', where],
          ['expires', `${formatDate(notAfter)}, in ${formatDuration(leftMs)}`],
          ['sha256', fingerprint],
        ]),
  )
  // ignore the time that the command itself took
  if (wantedMs - leftMs > 60_000)
    terminal.say('it ends with the intermediate of the CA, sooner than asked for')
}
