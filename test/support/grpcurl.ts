/** grpcurl, run as a debugger runs it. Where the machine lacks it, a client of Node takes its place. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { runGrpcClient } from './grpc-client.ts'
import { isOnPath, needProgram } from './need-program.ts'

export interface Ran {
  /** -1 when it was ended. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface GrpcurlOptions {
  /** The identity directory to call with; null presents no certificate. */
  readonly identity: string | null
  /** Whose ca.crt to trust. Default: that of the identity. */
  readonly trust?: string
  readonly args: readonly string[]
}

/**
 * For what pastes grpcurl into a shell: skips where there is no grpcurl, and says so. In CI it fails instead.
 * @throws Error in CI
 */
export function needGrpcurl(context: Mocha.Context): void {
  needProgram(context, 'grpcurl', '-version')
}

/** @throws Error in CI, when there is no grpcurl */
export function grpcurl(options: GrpcurlOptions): Promise<Ran> {
  const args = argumentsOf(options)
  return hasGrpcurl() ? run('grpcurl', args) : runGrpcClient(args)
}

/** False: a client of Node takes its place. @throws Error in CI */
export function hasGrpcurl(): boolean {
  return isOnPath('grpcurl')
}

export function argumentsOf({
  identity,
  trust = identity ?? '',
  args,
}: GrpcurlOptions): readonly string[] {
  const own =
    identity === null ? [] : ['-cert', join(identity, 'tls.crt'), '-key', join(identity, 'tls.key')]
  return ['-cacert', join(trust, 'ca.crt'), '-max-time', '10', ...own, ...args]
}

/** Runs a program to its end. Never rejects. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { ...options, timeout: 90_000, maxBuffer: 8 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, stdout, stderr })
      },
    )
  })
}
