/**
 * Loaded with --import before the gateway, keeps Node's own `AsyncResource.prototype.bind`, so that what the
 * gateway's leaner one saves can be measured: see docs/decisions/lean-async-resource.md.
 */
import { AsyncResource } from 'node:async_hooks'

const { bind } = AsyncResource.prototype
Object.defineProperty(AsyncResource.prototype, 'bind', {
  configurable: false,
  writable: false,
  value: bind,
})
