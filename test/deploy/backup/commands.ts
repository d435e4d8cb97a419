/** The commands as operators run them, as arguments of node. */
import { fileURLToPath } from 'node:url'

const of = (path: string) => [fileURLToPath(new URL(`../../../${path}`, import.meta.url))] as const

export const meshPki: readonly string[] = of('pki/src/cli/main.ts')
export const meshGateway: readonly string[] = of('mesh-gateway/src/cli/main.ts')
