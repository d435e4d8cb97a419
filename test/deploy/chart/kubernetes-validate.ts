/** kubernetes-validate of PyPI, which carries the strict schemas of each version of Kubernetes: nothing is fetched. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { KubeObject } from './helm.ts'

const VERSION = '1.37.0'
const SCRIPT = fileURLToPath(new URL('validate.py', import.meta.url))
const INSTALL =
  'test -e "$1/done" || { python3 -m venv "$1" && "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" && touch "$1/done"; }'

/** The faults of the objects, each with the version and the object. */
export function validate(
  documents: readonly KubeObject[],
  versions: readonly string[],
): readonly string[] {
  const said = execFileSync(join(install(), 'bin/python'), [SCRIPT], {
    input: JSON.stringify({ documents, versions }),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const faults: unknown = JSON.parse(said)
  if (!Array.isArray(faults)) throw new TypeError(`validate.py printed ${said}`)
  return faults.map(String)
}

/** A virtual environment outside of the repository. */
function install(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clawmesh')
  const dir = join(cache, `kubernetes-validate-${VERSION}`)
  if (existsSync(join(dir, 'done'))) return dir
  mkdirSync(cache, { recursive: true })
  const args = [`${dir}.lock`, 'sh', '-c', INSTALL, 'sh', dir, `kubernetes-validate==${VERSION}`]
  execFileSync('flock', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  return dir
}
