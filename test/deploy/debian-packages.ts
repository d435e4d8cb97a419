/** Debian packages that parts need: which of them are missing, and how they are installed with no service started. */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

/** Packages ask this file whether a service may be started; 101 means no. */
const POLICY = '/usr/sbin/policy-rc.d'
const ATTEMPTS = 3

/** Those that are not installed whole. On a machine without dpkg all of them. */
export function missingPackages(names: readonly string[]): string[] {
  const { stdout } = spawnSync(
    'dpkg-query',
    ['-W', '-f', `\${Package} \${db:Status-Status}\n`, ...names],
    { encoding: 'utf8' },
  )
  const installed = new Set((stdout ?? '').split('\n'))
  return [...new Set(names)].filter((name) => !installed.has(`${name} installed`))
}

/** Installs what is missing, all of it by one call of apt. @throws Error that names what could not be installed */
export function installPackages(names: readonly string[]): void {
  const missing = missingPackages(names)
  if (missing.length === 0) return
  process.stdout.write(`installing ${missing.join(', ')}\n`)
  const policyIsOurs = !existsSync(POLICY)
  if (policyIsOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    apt('update')
    apt('install', '-y', '--no-install-recommends', ...missing)
  } finally {
    if (policyIsOurs) rmSync(POLICY, { force: true })
  }
}

function apt(...args: readonly string[]): void {
  for (let attempt = 1; ; attempt++) {
    // RUNLEVEL=1 for those packages that do not ask the policy
    const { status, error } = spawnSync('apt-get', ['-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    })
    if (status === 0) return
    if (attempt === ATTEMPTS || error !== undefined)
      throw new Error(`apt-get ${args.join(' ')} failed`, { cause: error })
  }
}
