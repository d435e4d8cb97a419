/**
 * What the image has of an operating system: the binary of Node, the libraries that it is linked to, those that the C
 * library loads to resolve names, the public CAs that Node brings, and the four files of /etc that they read.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import type { Entry } from './tar.ts'

/** Of the user that the image runs as, and of its group. */
export const USER_ID = 65532

/** The C library loads them by name when it resolves names, so that no list of linked libraries has them. */
const RESOLVING = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']

const TEXTS: Readonly<Record<string, string>> = {
  'etc/passwd': `root:x:0:0:root:/:/sbin/nologin\nclawmesh:x:${USER_ID}:${USER_ID}:clawmesh:/var/lib/clawmesh:/sbin/nologin\n`,
  'etc/group': `root:x:0:\nclawmesh:x:${USER_ID}:\n`,
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  'etc/ssl/certs/ca-certificates.crt': `${rootCertificates.join('\n')}\n`,
}

/** @throws Error that says what this machine lacks */
export function systemFiles(node: string): Entry[] {
  const libraries = librariesOf(node)
  return [
    { kind: 'file', path: 'usr/bin/node', mode: 0o755, content: { file: node } },
    ...libraries.map((path) => library(path)),
    ...Object.entries(TEXTS).map(
      ([path, text]): Entry => ({ kind: 'file', path, content: Buffer.from(text) }),
    ),
    // where files are mounted: certificates, policy and configuration, and what the gateway writes
    { kind: 'directory', path: 'etc/clawmesh' },
    { kind: 'directory', path: 'var/lib/clawmesh', mode: 0o700, owner: USER_ID },
    { kind: 'directory', path: 'tmp', mode: 0o1777 },
  ]
}

/** The paths of the libraries, as the dynamic linker of this machine finds them. */
export function librariesOf(node: string): string[] {
  if (process.platform !== 'linux')
    throw new Error('the image is built on Linux: its libraries are')
  let listed: string
  try {
    listed = execFileSync('ldd', [node], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (cause) {
    throw new Error(`ldd cannot tell what ${node} is linked to`, { cause })
  }
  const linked = [...listed.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path = '']) => path)
  const libc = linked.find((path) => basename(path) === 'libc.so.6')
  if (libc === undefined)
    throw new Error(
      `${node} is not linked to the GNU C library; build the image on Debian or the like`,
    )
  const resolving = RESOLVING.map((name) => join(dirname(libc), name))
  for (const path of resolving)
    if (!existsSync(path)) throw new Error(`${path} is missing: the image could not resolve names`)
  return [...new Set([...linked, ...resolving])].sort()
}

/** Where the linker looks for it, though it may be a link there. */
function library(path: string): Entry {
  return {
    kind: 'file',
    path: path.slice(1),
    mode: 0o755,
    content: { file: realpathSync(path) },
  }
}
