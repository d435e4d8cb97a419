/** A supervisor of two workers whose ticket keys are new when who started it says so; tells where its egress port is. */
import { randomBytes } from 'node:crypto'
import { Secret } from '@clawmesh/proto'
import { fixedConfig, readConfig } from '../../../mesh-gateway/src/config/live-config.ts'
import { createOperationalLog } from '../../../mesh-gateway/src/telemetry/operational-log.ts'
import { startSupervisor } from '../../../mesh-gateway/src/workers/supervisor.ts'

const [path = ''] = process.argv.slice(2)
const { config } = await readConfig({ path, env: {}, flags: {}, cwd: '.', optional: [] })
const listeners = new Set<() => void>()
let current = new Secret(randomBytes(48))
const supervisor = await startSupervisor(config, {
  workers: 2,
  log: createOperationalLog('warn'),
  follow: async () => fixedConfig(config),
  ticketKeys: {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {},
  },
})
process.on('message', () => {
  current = new Secret(randomBytes(48))
  for (const listener of listeners) listener()
})
process.once('disconnect', () => void supervisor.drain(0))
process.send?.(supervisor.addresses.egress.port)
