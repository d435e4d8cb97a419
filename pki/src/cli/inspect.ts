/** `mesh-pki inspect`: shows certificates, keys and requests. */
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { type CertificateFacts, type Inspection, inspectPath } from '../verify/inspect-path.ts'
import { formatDate, formatDuration } from '../verify/words.ts'
import type { Terminal } from './terminal.ts'

type Fact = readonly [string, string | readonly string[]]

const EXAMPLES = `
Examples:
  $ mesh-pki inspect planner            a directory that issue wrote
  $ mesh-pki inspect mesh-ca            a CA; needs no passphrase
  $ mesh-pki inspect planner.csr        a request
  $ mesh-pki inspect --json tls.crt | jq -r '.certificates[0].notAfter'`

export function addInspect(program: Command, terminal: Terminal): void {
  program
    .command('inspect')
    .description('say what is in a file or directory; judges nothing')
    .argument('<path>', 'identity directory, CA directory, or PEM file')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: { readonly json?: boolean }) => {
      const inspection = await inspectPath(path)
      terminal.print(
        options.json === true
          ? printableJson({ path, ...inspection }, 2)
          : sections(inspection).map(columns).join('\n\n'),
      )
    })
}

function sections(inspection: Inspection): readonly (readonly Fact[])[] {
  const { certificates, roots, key, request } = inspection
  return [
    ...certificates.map((each) => certificateLines('certificate', each)),
    ...(key === null ? [] : [keyLines(key)]),
    ...roots.map((each) => certificateLines('root', each)),
    ...(request === null ? [] : [requestLines(request)]),
  ]
}

function certificateLines(title: string, facts: CertificateFacts): readonly Fact[] {
  return [
    [title, facts.subject],
    ...some('SPIFFE ID', facts.spiffeId === null ? [] : [facts.spiffeId]),
    ...some('URI', facts.spiffeId === null ? facts.uris : []),
    ...some('DNS', facts.dnsNames),
    ...some('IP', facts.ipAddresses),
    ['valid', [`${formatDate(facts.notBefore)} to ${formatDate(facts.notAfter)}`, timeLeft(facts)]],
    ['issuer', facts.issuer],
    ['serial', facts.serial],
    ['sha256', facts.fingerprint],
    ['key', facts.keyType],
    ...some('CA', facts.isCa ? [`with ${facts.pathLength ?? 'any number of'} CAs below`] : []),
    ...some('permits', facts.permits ?? []),
  ]
}

function timeLeft({ state, remainingMs, notBefore, notAfter }: CertificateFacts): string {
  if (state === 'expired') return `EXPIRED ${formatDuration(-remainingMs)} ago`
  if (state === 'valid') return `${formatDuration(remainingMs)} left`
  const nowMs = notAfter.getTime() - remainingMs
  return `NOT VALID YET, in ${formatDuration(notBefore.getTime() - nowMs)}`
}

function keyLines(key: NonNullable<Inspection['key']>): readonly Fact[] {
  if (key.encrypted) return [['private key', 'encrypted']]
  const fits = key.matchesCertificate
  const words =
    fits === null ? [] : [fits ? 'fits the certificate' : 'DOES NOT FIT the certificate']
  return [['private key', [key.keyType ?? '', ...words]]]
}

function requestLines(request: NonNullable<Inspection['request']>): readonly Fact[] {
  return [
    ['request', 'signed by its own key'],
    ['key', request.keyType],
    ...some('asks for CN', request.commonNames),
    ...some('asks for URI', request.uris),
    ...some('asks for DNS', request.dnsNames),
    ...some('asks for IP', request.ipAddresses),
  ]
}

function some(name: string, values: readonly string[]): readonly Fact[] {
  return values.length === 0 ? [] : [[name, values]]
}
