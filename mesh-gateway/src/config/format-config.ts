/** Formats the configuration as a file, for `start --print-config`. Secrets appear as paths only. */
import { formatListenAddress } from '../net/listen-address.ts'
import type { Config } from './schema.ts'

export function formatConfig(config: Config): string {
  const listen = (of: Pick<Config['admin'], 'listen'>) => ({
    listen: formatListenAddress(of.listen),
  })
  const shown = {
    ...config,
    egress: { ...config.egress, ...listen(config.egress) },
    delegation: { ...config.delegation, ...listen(config.delegation) },
    admin: { ...config.admin, ...listen(config.admin) },
    health: {
      listen: config.health.listen === null ? null : formatListenAddress(config.health.listen),
    },
  }
  return `${JSON.stringify(shown, null, 2)}\n`
}
