/** What must never be committed, because one careless copy of it ends the safety of everything else. */
import { faultyLines, isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { stripComments, stripCommentsAndStrings } from '../strip-source.ts'

/** Private keys in PEM with their body, and private JWKs. */
export function privateKeyFaults(file: SourceFile): string[] {
  const pem = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/=\s\\]{60}/
  const jwk =
    /"kty"\s*:\s*"(?:EC|RSA|OKP)"[^{}]*"d"\s*:\s*"[\w-]{20,}"|"d"\s*:\s*"[\w-]{20,}"[^{}]*"kty"/
  return pem.test(file.text) || jwk.test(file.text) ? [`${file.path}: holds a private key`] : []
}

/** Entry points of commands, and what ends them when their output is closed or a second signal comes. */
const MAY_EXIT = /\/(?:cli\/main|(?:cli|process)\/terminal|command-line\/closed-output)\.ts$/

/** mocha --exit hides what a test leaves open; process.exit cuts short what others have begun. */
export function exitFaults(file: SourceFile): string[] {
  const { path } = file
  const runsMocha = /(?:^|\/)(?:package\.json|\.mocharc\.\w+)$|^\.ci\/|\.(?:sh|ya?ml)$/.test(path)
  if (runsMocha)
    return faultyLines(file, file.text, /--exit\b|"exit"\s*:\s*true/, 'runs mocha with --exit')
  const ours = packageOf(path) !== null || /^test\/(?!repository\/)/.test(path)
  const exits = isTypeScript(path) && ours
  if (!exits || MAY_EXIT.test(path)) return []
  return faultyLines(
    file,
    stripCommentsAndStrings(file.text),
    /\bprocess\.exit\(/,
    'calls process.exit',
  )
}

/**
 * Where the handshake is let through to be judged by our own gate before a byte is served or used, so that the reason
 * can be told: the one place that builds TLS options, and the one that proves a chain in memory.
 */
const OWN_GATE: readonly string[] = [
  'agent-sdk/src/tls/tls-options.ts',
  'agent-sdk/src/identity/prove-chain.ts',
  // a client certificate there proves nothing but possession, to which a token is bound (RFC 8705, section 3)
  'mesh-gateway/src/egress/client/listen-for-clients.ts',
  // proves a pair before it is used, by a handshake in memory
  'mesh-gateway/src/egress/client/prove-pair.ts',
]

export function tlsFaults(file: SourceFile): string[] {
  if (file.path.startsWith('test/repository/')) return []
  const text = isTypeScript(file.path) ? stripComments(file.text) : file.text
  const faults = faultyLines(
    file,
    // a test may say that the variable is refused; nobody may set it
    text,
    /NODE_TLS_REJECT_UNAUTHORIZED\b\s*['"]?\]?\s*(?:=(?!=)|:)|strictSSL['"]?\s*:\s*false/,
    'turns TLS verification off',
  )
  const inShell =
    /(?:^|[\s`])(?:curl\b[^\n]*\s(?:-k|--insecure|--proxy-insecure)\b|grpcurl\b[^\n]*\s-(?:insecure|plaintext)\b)/
  faults.push(...faultyLines(file, text, inShell, 'turns TLS verification off'))
  if (!isTypeScript(file.path) || OWN_GATE.includes(file.path)) return faults
  const chain = /rejectUnauthorized['"]?\s*:\s*false/
  faults.push(...faultyLines(file, text, chain, 'turns TLS verification off'))
  // the tests of that room ask as clients that check the chain only: names say nothing of a mesh identity
  if (file.path.startsWith('test/agent-sdk/tls/')) return faults
  return [
    ...faults,
    ...faultyLines(
      file,
      text,
      /checkServerIdentity['"]?\s*:\s*(?:async\s*)?\([^)]*\)\s*=>\s*(?:undefined|null|\{\s*\})/,
      'accepts any server name',
    ),
  ]
}

/** The places of the packages that start a program. */
const RUN_PROGRAMS: readonly string[] = [
  // themselves again, with names of files for arguments
  'mesh-agent/src/relay/keep-relay.ts',
  // a module of PKCS #11 may hang or crash
  'proto/src/pkcs11/token-link.ts',
  'proto/src/pkcs11/token-once.ts',
  // systemd-notify, where systemd has started the gateway and waits to be told
  'mesh-gateway/src/process/service-manager.ts',
]

/** A secret on a command line is in everybody's process list. */
export function shellFaults(file: SourceFile): string[] {
  if (!isTypeScript(file.path) || file.path.startsWith('test/repository/')) return []
  const code = stripComments(file.text)
  const faults = faultyLines(
    file,
    code,
    /-pass(?:in|out)?['"\s,]+pass:/,
    'puts a passphrase on a command line',
  )
  if (packageOf(file.path) === null || RUN_PROGRAMS.includes(file.path)) return faults
  return [
    ...faults,
    ...faultyLines(file, code, /from ['"](?:node:)?child_process['"]/, 'runs other programs'),
  ]
}

/** Where the bytes are those of the kernel, or of a log that a command reads line by line. */
const OWN_READERS: readonly string[] = [
  'proto/src/lock/with-lock.ts',
  'mesh-gateway/src/doctor/file-descriptors.ts',
  'mesh-gateway/src/doctor/listening-process.ts',
  'mesh-gateway/src/policy/read/read-directory.ts',
  'mesh-gateway/src/recorded/audit-lines.ts',
  // by the disk too, piece by piece: it is a journal
  'mesh-gateway/src/revocation/list-reader.ts',
  // of the kernel, which has no disk behind them
  'mesh-gateway/src/process/control-groups.ts',
]

/** A file that is read in another way may be a pipe that is waited for, or fill the memory. */
export function readingFaults(file: SourceFile): string[] {
  const home = packageOf(file.path)
  if ((home !== 'agent-sdk' && home !== 'mesh-gateway') || OWN_READERS.includes(file.path))
    return []
  return faultyLines(
    file,
    stripCommentsAndStrings(file.text),
    /\b(?:readFile|readFileSync|createReadStream)\b/,
    'reads a file in its own way: take readWhole of @clawmesh/agent-sdk/mesh',
  )
}

/** A token, a key or the command that prints one. */
const SECRET = String.raw`\$\{?(?:TOKEN|KEY)\b|\$\((?:npx )?mesh-gateway issue-token`

/** What a newcomer pastes puts no token where `ps` shows it to every user: into an argument of curl, or into a URL. */
export function pastedSecretFaults(file: SourceFile): string[] {
  if (!/\.(?:md|sh)$|^(?:mesh-gateway|pki|proto|agent-sdk)\/src\/|^scripts\//.test(file.path))
    return []
  // a command may go on in the next line
  const text = file.text.replaceAll(/\\+\n/g, (end) => ' '.repeat(end.length))
  const argument = new RegExp(`\\bcurl\\b[^|\\n]*(?:${SECRET})`)
  // an environment variable is for the same user alone to read
  const url = new RegExp(`^(?!.*_PROXY=).*://[^\\s"'/]*:(?:${SECRET})`)
  const header = new RegExp(
    `(?:-H|--header|--proxy-header|--proxy-user|-U) ["'\`]?[^|\\n]*(?:${SECRET})`,
  )
  const what = 'puts a token into a command line; pipe it into curl -K -'
  return [argument, url, header].flatMap((pattern) => faultyLines(file, text, pattern, what))
}

/** A random test that draws the same numbers each time is one case, tried for ever. What breaks is printed with its seed. */
export function seedFaults(file: SourceFile): string[] {
  if (!/^test\/(?!repository\/).*\.ts$/.test(file.path) || !/'fast-check'/.test(file.text))
    return []
  return faultyLines(
    file,
    stripCommentsAndStrings(file.text),
    /\bseed:\s*\d/,
    'draws the same random numbers each time',
  )
}
