/** A policy store that reads often, for what measures how a change comes into force. */
import { openPolicyStore, type PolicyStore } from '../../../mesh-gateway/src/policy/index.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const metrics = { reload() {}, brokenPolicy() {} }

export function openReloadedStore(dir: string): Promise<PolicyStore> {
  return openPolicyStore({ dir, log, metrics, pollMs: 200 })
}
