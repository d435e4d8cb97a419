/**
 * Replaces `AsyncResource.prototype.bind` of this process by one that leaves no garbage. node:http2 binds twice for
 * each request it sends, and Node's own `bind` gives each bound function a deprecated property (DEP0172) whose wrappers
 * get prototypes of their own. V8 keeps those in the old generation, and with them the whole stream, until the next
 * full collection: then almost nothing dies young, and every minor collection copies megabytes. Binding itself is
 * unchanged. docs/decisions/lean-async-resource.md has the figures.
 */
import { AsyncResource } from 'node:async_hooks'

type Bindable = (this: unknown, ...args: unknown[]) => unknown

/**
 * For commands, once, at their start: a library must not patch its process. False when the property cannot be changed.
 */
export function leanAsyncResource(): boolean {
  return Reflect.defineProperty(AsyncResource.prototype, 'bind', {
    configurable: true,
    enumerable: false,
    writable: true,
    value: bind,
  })
}

function bind(this: AsyncResource, fn: Bindable, thisArg?: unknown): Bindable {
  if (typeof fn !== 'function') throw new TypeError('fn: must be a function')
  const resource = this
  if (thisArg !== undefined) return (...args) => resource.runInAsyncScope(fn, thisArg, ...args)
  return function bound(...args) {
    return resource.runInAsyncScope(fn, this, ...args)
  }
}
