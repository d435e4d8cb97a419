/** The door `@clawmesh/agent/relay`: a relay in this process, and one that is kept running beside a host. */
export type { KeepRelayOptions, KeptRelay } from './keep-relay.ts'
export { keepRelay } from './keep-relay.ts'
export type { RelayEvent, RelayOptions } from './run-relay.ts'
export { runRelay } from './run-relay.ts'
