/**
 * Replaces `AsyncResource.prototype.bind` of this process by one that leaves no garbage. node:http2 binds twice for
 * each request it sends, and Node's own `bind` gives each bound function a deprecated property (DEP0172) whose wrappers
 * get prototypes of their own. V8 keeps those in the old generation, and with them the whole stream, until the next
 * full collection: then almost nothing dies young, and every minor collection copies megabytes. Binding itself is
 * unchanged. docs/decisions/lean-async-resource.md has the figures.
 */
import { AsyncResource } from 'node:async_hooks'
import { patchesNode } from './switch.ts'

type Bindable = (this: unknown, ...args: unknown[]) => unknown

/**
 * For commands, at their start: a library must not patch its process. False when Node was left unchanged: it does not bind
 * as expected, the property cannot be changed, or the switch is off. True also when it is in place already.
 */
export function leanAsyncResource(): boolean {
  if (!patchesNode()) return false
  if (AsyncResource.prototype.bind === bind) return true
  if (!bindsAsExpected()) return false
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

/** As in Node 24: `bind` takes a function and `this`, and gives what it returns the deprecated property. */
function bindsAsExpected(): boolean {
  const { bind: own, runInAsyncScope } = AsyncResource.prototype
  if (typeof own !== 'function' || own.length !== 2 || typeof runInAsyncScope !== 'function')
    return false
  const probe = new AsyncResource('clawmesh', { requireManualDestroy: true })
  const bound: unknown = Reflect.apply(own, probe, [() => {}])
  if (typeof bound !== 'function') return false
  return Object.getOwnPropertyDescriptor(bound, 'asyncResource')?.get !== undefined
}
