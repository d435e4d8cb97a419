/** kubectl and helm for one API server. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Chart, Values } from '../chart/helm.ts'
import { officialTool } from '../tools/helm-and-kubectl.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Commands {
  /** Never throws for its exit code. */
  tryKubectl(args: readonly string[], input?: string): Promise<Ran>
  /** Its stdout. @throws Error with stderr */
  kubectl(...args: readonly string[]): Promise<string>
  /** `kubectl apply` with strict field validation. @throws Error with stderr */
  apply(...objects: readonly object[]): Promise<string>
  /** `helm …` for releases of the namespace NAMESPACE. Never throws for its exit code. */
  helm(...args: readonly string[]): Promise<Ran>
  /** `helm VERB RELEASE CHART` with values, and more arguments. */
  release(
    verb: 'install' | 'upgrade',
    name: string,
    chart: Chart,
    values: Values,
    ...args: readonly string[]
  ): Promise<Ran>
}

export interface CommandsOptions {
  readonly kubeconfig: string
  /** For what they write. */
  readonly dir: string
  /** Words before each command, such as those that enter a network. Default: none. */
  readonly by?: readonly string[]
}

export const NAMESPACE = 'mesh-system'
const CHARTS = fileURLToPath(new URL('../../../deploy/chart/', import.meta.url))

export async function createCommands(options: CommandsOptions): Promise<Commands> {
  const { kubeconfig, dir, by = [] } = options
  const [kubectlPath, helmPath] = [await officialTool('kubectl'), await officialTool('helm')]
  const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: dir }
  const run = (command: readonly string[], input?: string) =>
    runWith([...by, ...command], env, input)
  const tryKubectl = (args: readonly string[], input?: string) => run([kubectlPath, ...args], input)
  const helm = (...args: readonly string[]) => run([helmPath, ...args, '--namespace', NAMESPACE])
  return {
    tryKubectl,
    kubectl: async (...args) => okay(await tryKubectl(args)),
    async apply(...objects) {
      const list = { apiVersion: 'v1', kind: 'List', items: objects }
      const args = ['apply', '--validate=strict', '-f', '-']
      return okay(await tryKubectl(args, JSON.stringify(list)))
    },
    helm,
    async release(verb, name, chart, values, ...args) {
      const file = join(dir, 'values', `${name}.json`)
      await mkdir(join(dir, 'values'), { recursive: true })
      await writeFile(file, JSON.stringify(values))
      return helm(verb, name, join(CHARTS, chart), '--values', file, ...args)
    },
  }
}

function okay({ code, stdout, stderr }: Ran): string {
  if (code !== 0) throw new Error(stderr.trim())
  return stdout
}

function runWith(
  [program = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
  input?: string,
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { env, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1
        resolve({ code, stdout, stderr })
      },
    )
    child.stdin?.end(input)
  })
}
