/** The exports of @clawmesh/gateway: a gateway inside another program. The command is mesh-gateway. */

export type { Missing } from './admin/status-page.ts'
export { configJsonSchema } from './config/json-schema.ts'
export type { LiveConfig } from './config/live-config.ts'
export { readConfig } from './config/live-config.ts'
export type { Config } from './config/schema.ts'
export type { Gateway, GatewayOptions } from './gateway.ts'
export { createGateway } from './gateway.ts'
export type { ListenAddress } from './net/port.ts'
export { policyJsonSchema } from './policy/read/schema.ts'
