/**
 * The one thing that all copies of this plugin in a process share. OpenClaw evaluates the plugin's modules several times, so what
 * lives in a module is not there in the copy that runs a tool; only the process is common to them.
 */
import type { Mesh } from '../core/contract.ts'

export interface Copies {
  /** Of the sources. Another build does not use what this one made. */
  readonly build: string
  /** Loads the SDK when it is first called, once for all copies. */
  mesh(): Promise<Mesh>
  /** Null before that. */
  loaded(): Mesh | null
  /** Traces of tool calls that a hook has seen and that have not begun, by their id. */
  readonly traces: TraceNotes
  close(): Promise<void>
}

export interface TraceNotes {
  put(toolCallId: string, traceparent: string): void
  /** Once. */
  take(toolCallId: string): string | null
}

const KEY = Symbol.for('@clawmesh/openclaw-plugin')
// a call that was blocked after it had been noted is never made
const MOST_NOTES = 1_000

/** @param load makes the mesh; called once at most for all copies */
export function copiesOf(host: object, build: string, load: () => Promise<Mesh>): Copies {
  const found: unknown = Reflect.get(host, KEY)
  if (isCopies(found)) {
    if (found.build === build) return found
    // an update of the plugin: what the old one holds, such as a port, is given up
    void found.close()
  }
  const made = createCopies(build, load, () => {
    if (Reflect.get(host, KEY) === made) Reflect.deleteProperty(host, KEY)
  })
  Reflect.set(host, KEY, made)
  return made
}

function createCopies(build: string, load: () => Promise<Mesh>, onClose: () => void): Copies {
  let mesh: Promise<Mesh> | null = null
  let loaded: Mesh | null = null
  const notes = new Map<string, string>()
  return Object.freeze({
    build,
    mesh() {
      mesh ??= load().then((made) => {
        loaded = made
        return made
      })
      return mesh
    },
    loaded: () => loaded,
    traces: {
      put(id: string, traceparent: string) {
        notes.set(id, traceparent)
        const [oldest] = notes.keys()
        if (notes.size > MOST_NOTES && oldest !== undefined) notes.delete(oldest)
      },
      take(id: string) {
        const found = notes.get(id) ?? null
        notes.delete(id)
        return found
      },
    },
    async close() {
      onClose()
      await (await mesh)?.close()
    },
  })
}

function isCopies(value: unknown): value is Copies {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'build') === 'string' &&
    typeof Reflect.get(value, 'mesh') === 'function' &&
    typeof Reflect.get(value, 'close') === 'function'
  )
}
