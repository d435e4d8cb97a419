/** A token of SoftHSM in a directory of its own. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
export const PIN = '123456'

export interface SoftHsm {
  readonly dir: string
  readonly uri: string
  readonly pinFile: string
  /** pkcs11-tool, logged in. */
  tool(...args: string[]): string
  remove(): void
}

export function makeToken(label: string): SoftHsm {
  const dir = mkdtempSync(join(tmpdir(), 'hsm-'))
  mkdirSync(join(dir, 'tokens'))
  const conf = join(dir, 'softhsm2.conf')
  writeFileSync(conf, `directories.tokendir = ${join(dir, 'tokens')}\nlog.level = ERROR\n`)
  const pinFile = join(dir, 'pin')
  writeFileSync(pinFile, `${PIN}\n`, { mode: 0o600 })
  const env = { SOFTHSM2_CONF: conf }
  // processes that this one starts find the token by it
  const { SOFTHSM2_CONF: before } = process.env
  Object.assign(process.env, env)
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, {
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: 'pipe',
    })
  const init = ['--init-token', '--free', '--label', label, '--so-pin', '87654321', '--pin', PIN]
  run('softhsm2-util', init)
  return {
    dir,
    pinFile,
    uri: `pkcs11:token=${label}?module-path=${MODULE}&pin-source=file:${pinFile}`,
    tool: (...args) =>
      run('pkcs11-tool', [
        '--module',
        MODULE,
        '--token-label',
        label,
        '--login',
        '--pin',
        PIN,
        ...args,
      ]),
    remove() {
      if (before === undefined) delete process.env.SOFTHSM2_CONF
      else process.env.SOFTHSM2_CONF = before
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
