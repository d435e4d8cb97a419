/** proto ← agent-sdk ← mesh-gateway; agent-sdk ← mesh-agent ← openclaw-plugin; proto ← pki. Packages are entered by their exports, and pki by nobody at run time. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { isTypeScript, packageOf, ROOT, type SourceFile } from '../repository-files.ts'
import { stripComments } from '../strip-source.ts'

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  'agent-sdk': ['@clawmesh/proto', '@clawmesh/proto/wire'],
  pki: [
    '@clawmesh/proto',
    '@clawmesh/proto/backup',
    '@clawmesh/proto/command-line',
    '@clawmesh/proto/lock',
    '@clawmesh/proto/pkcs11',
  ],
  // by the doors of the SDK for the gateway: the first one is for authors of skills
  'mesh-gateway': [
    '@clawmesh/proto',
    '@clawmesh/proto/backup',
    '@clawmesh/proto/command-line',
    '@clawmesh/proto/lock',
    '@clawmesh/proto/pkcs11',
    '@clawmesh/proto/tools',
    '@clawmesh/proto/wire',
    '@clawmesh/agent-sdk/calls',
    '@clawmesh/agent-sdk/mesh',
  ],
  'mesh-agent': [
    '@clawmesh/proto',
    '@clawmesh/proto/command-line',
    '@clawmesh/proto/tools',
    '@clawmesh/agent-sdk',
    '@clawmesh/agent-sdk/mesh',
  ],
  // one built file: what it imports is bundled
  'openclaw-plugin': [
    '@clawmesh/proto/tools',
    '@clawmesh/agent/relay',
    '@clawmesh/agent/served-tools',
    '@clawmesh/agent/skill',
    '@clawmesh/agent/tools',
    '@clawmesh/agent-sdk',
    '@clawmesh/agent-sdk/mesh',
  ],
}

/** What somebody has who installed the packages and writes a skill. */
const EXAMPLES_MAY_IMPORT: readonly string[] = [
  '@clawmesh/agent-sdk',
  '@clawmesh/agent-sdk/testing',
]

const SPECIFIER =
  /(?:^|[\s;}])(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g

const SECOND_DOORS: ReadonlySet<string> = new Set([
  '@clawmesh/agent-sdk/calls',
  '@clawmesh/agent-sdk/mesh',
  '@clawmesh/agent-sdk/testing',
  '@clawmesh/agent/relay',
  '@clawmesh/agent/served-tools',
  '@clawmesh/agent/skill',
  '@clawmesh/agent/tools',
  '@clawmesh/proto/backup',
  '@clawmesh/proto/command-line',
  '@clawmesh/proto/lock',
  '@clawmesh/proto/pkcs11',
  '@clawmesh/proto/tools',
  '@clawmesh/proto/wire',
  '@clawmesh/openclaw-plugin/build',
])

/** Where each import of a file leads. */
export function importsOf(text: string): string[] {
  return [...stripComments(text).matchAll(SPECIFIER)].map(([, from, bare]) => from ?? bare ?? '')
}

export function importFaults(file: SourceFile): string[] {
  if (!isTypeScript(file.path)) return []
  return importsOf(file.text).flatMap((specifier) => {
    const fault = specifier.startsWith('.')
      ? relativeFault(file.path, specifier)
      : namedFault(file.path, specifier)
    return fault === null ? [] : [`${file.path}: imports ${specifier}: ${fault}`]
  })
}

/** The same direction, as package.json says it. */
export function dependencyFaults(file: SourceFile): string[] {
  const [, name = ''] = /^([^/]+)\/package\.json$/.exec(file.path) ?? []
  const allowed = MAY_IMPORT[name]
  if (allowed === undefined) return []
  return [...file.text.matchAll(/"(@clawmesh\/[a-z-]+)"\s*:/g)].flatMap(([, dependency = '']) =>
    allowed.some((each) => each === dependency || each.startsWith(`${dependency}/`))
      ? []
      : [`${file.path}: depends on ${dependency}`],
  )
}

/**
 * Packages that a published package imports, types too, and does not depend on: who installs it lacks them, and its
 * types become `any`. The plugin is one bundled file.
 */
export function undeclaredFaults(file: SourceFile): string[] {
  const manifest = manifestOf(file.path)
  if (!isTypeScript(file.path) || manifest === null) return []
  const { dependencies, peerDependencies, optionalDependencies } = Object(JSON.parse(manifest))
  const known = Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies })
  return importsOf(file.text).flatMap((specifier) => {
    if (/^(?:\.|node:)|\.proto$/.test(specifier)) return []
    const [, name = specifier] = /^((?:@[^/]+\/)?[^/]+)/.exec(specifier) ?? []
    return known.includes(name) ? [] : [`${file.path}: imports ${name}, which its package lacks`]
  })
}

function manifestOf(path: string): string | null {
  const home = packageOf(path)
  if (home === null || home === 'openclaw-plugin' || !path.startsWith(`${home}/src/`)) return null
  return readFileSync(join(ROOT, home, 'package.json'), 'utf8')
}

/** Optional packages with native code: they are required by name when they are asked for, and their types may be missing. */
const MAY_BE_MISSING: ReadonlySet<string> = new Set(['pkcs11js'])

function namedFault(path: string, specifier: string): string | null {
  if (MAY_BE_MISSING.has(specifier)) return 'a machine may not have it, nor its types'
  if (!specifier.startsWith('@clawmesh/')) return null
  if (specifier.split('/').length > 2 && !SECOND_DOORS.has(specifier))
    return 'a package is entered by its exports only'
  if (path.startsWith('examples/'))
    return EXAMPLES_MAY_IMPORT.includes(specifier) ? null : 'an example needs the SDK alone'
  const home = packageOf(path)
  if (home === null || MAY_IMPORT[home]?.includes(specifier)) return null
  return `${home} may not import it`
}

function relativeFault(path: string, specifier: string): string | null {
  const target = join(dirname(path), specifier)
  // it is to work where it is copied to
  if (path.startsWith('examples/') && !target.startsWith(`${dirname(path)}/`))
    return 'leaves its example'
  const to = packageOf(target)
  const home = packageOf(path)
  // its own manifest lies beside src in what is published, too
  if (home !== null && target === `${home}/package.json`) return null
  if (home !== null) return to === home ? null : 'leaves its package'
  if (to === null) return null
  // a command is no export; asked in this process, its help costs no process of its own
  if (path === 'scripts/docs/command-help.ts' && target === `${to}/src/cli/run-command.ts`)
    return null
  // a unit test mirrors the sources of one package; everybody else takes the public door
  return path.startsWith(`test/${to}/`) ? null : 'a package is entered by its exports only'
}
