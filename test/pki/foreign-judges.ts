/**
 * Two verifiers of other makes as judges of chains: rustls-webpki, and Python's cryptography. Both are asked by directories
 * with chain.pem and roots.pem, and answer a line for each.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isInstalled } from '../support/need-program.ts'
import { run } from './run.ts'

export interface Judge {
  readonly name: string
  /** A line for each directory: `server: VERDICT; client: VERDICT`, where a verdict is "accepted" or the error. */
  judge(dirs: readonly string[]): Promise<readonly string[]>
}

export interface JudgedChain {
  /** PEM, the leaf first. */
  readonly certificateChain: string
  /** PEM. */
  readonly roots: string
}

const CARGO_TOML = fileURLToPath(new URL('./rust-verify/Cargo.toml', import.meta.url))
const PYTHON_PROGRAM = fileURLToPath(new URL('./python-verify.py', import.meta.url))

/** Writes what the judges read. Returns the directory. */
export async function writeChain(dir: string, chain: JudgedChain): Promise<string> {
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'chain.pem'), chain.certificateChain)
  await writeFile(join(dir, 'roots.pem'), chain.roots)
  return dir
}

/** rustls-webpki, built by cargo once for all runs (half a minute). Null where cargo is missing; in CI it must be there. */
export async function rustJudge(): Promise<Judge | null> {
  if (!isInstalled('cargo', '--version')) return null
  // not in the tree: nothing that is built there shall be linted, packed or committed
  const target = join(tmpdir(), `clawmesh-rust-verify-${userInfo().uid}`)
  const args = ['build', '--quiet', '--locked', '--manifest-path', CARGO_TOML]
  const built = await run('cargo', args, { env: { ...cargoEnv(), CARGO_TARGET_DIR: target } })
  if (built.code !== 0) throw new Error(built.stderr)
  return judgeBy('rustls', join(target, 'debug', 'rust-verify'), [])
}

/** Python's cryptography, 45 or newer (Debian's is older). Null where it is missing; in CI it must be there. */
export async function pythonJudge(): Promise<Judge | null> {
  const python = process.env.CLAWMESH_TEST_PYTHON ?? 'python3'
  const importing =
    'from cryptography.x509.verification import PolicyBuilder as P; P().build_client_verifier'
  if (!isInstalled(python, '-c', importing)) return null
  return judgeBy('cryptography', python, [PYTHON_PROGRAM])
}

function judgeBy(name: string, program: string, before: readonly string[]): Judge {
  return {
    name,
    async judge(dirs) {
      const { code, stdout, stderr } = await run(program, [...before, ...dirs])
      const lines = stdout.trimEnd().split('\n')
      if (code !== 0 || lines.length !== dirs.length) throw new Error(`${name}: ${stderr}${stdout}`)
      return lines
    },
  }
}

/** Where cargo looks for its registry and its compiler; `run` passes little else on. */
function cargoEnv(): Record<string, string> {
  const named = Object.entries(process.env).filter(([name]) => /^(?:CARGO|RUSTUP)_/.test(name))
  return Object.fromEntries(named.map(([name, value]) => [name, value ?? '']))
}
