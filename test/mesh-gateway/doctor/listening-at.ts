/** The configuration of a gateway of which only where it listens matters. */
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import type { Config } from '../../../mesh-gateway/src/config/schema.ts'

const ANYWHERE = {
  'egress-listen': '127.0.0.1:0',
  'delegation-listen': '127.0.0.1:0',
  'admin-listen': '127.0.0.1:0',
}

export function listeningAt(cwd: string, listen: Partial<typeof ANYWHERE>): Config {
  const flags = {
    'trust-domain': 'mesh.internal',
    ...{ 'identity-dir': 'x', 'policy-dir': 'x', 'keys-dir': 'x' },
    ...ANYWHERE,
    ...listen,
  }
  return resolveConfig({ file: null, cwd, env: {}, flags }).config
}
