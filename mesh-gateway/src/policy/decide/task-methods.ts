/**
 * The methods that begin a task, and those that continue it: follow it, query it, answer its questions, end it. Beside
 * them, those that ask what could be begun. For our own service and A2A's. The gateway judges by the method alone, since
 * it reads no payload. Methods that make a callee do something else, such as A2A's push notifications, are none of them.
 */
import { DELEGATION_SERVICE } from '@clawmesh/proto'

interface TaskService {
  readonly name: string
  readonly begin: readonly string[]
  readonly seeThrough: readonly string[]
  /** Of `seeThrough` those that end a task or ask for its state: one small message each way. */
  readonly endOrAsk: readonly string[]
  /** What tells a caller beforehand what it may begin, and begins nothing. */
  readonly describe: readonly string[]
}

const SERVICES: readonly TaskService[] = Object.freeze([
  {
    name: DELEGATION_SERVICE,
    begin: ['Delegate'],
    seeThrough: ['Watch', 'Get', 'List', 'Cancel', 'SendInput'],
    endOrAsk: ['Get', 'Cancel'],
    describe: ['Describe'],
  },
  {
    name: 'lf.a2a.v1.A2AService',
    begin: ['SendMessage', 'SendStreamingMessage'],
    seeThrough: ['GetTask', 'ListTasks', 'CancelTask', 'SubscribeToTask'],
    endOrAsk: ['GetTask', 'CancelTask'],
    describe: [],
  },
  {
    name: 'a2a.v1.A2AService',
    begin: ['SendMessage', 'SendStreamingMessage'],
    seeThrough: ['GetTask', 'CancelTask', 'TaskSubscription'],
    endOrAsk: ['GetTask', 'CancelTask'],
    describe: [],
  },
])

const NONE: readonly string[] = Object.freeze([])
/** By method that begins a task, the methods that it implies. */
const IMPLIED_BY = pairs(['begin'], ['seeThrough', 'describe'])
/** By implied method, the methods that imply it. */
const BEGUN_BY = pairs(['seeThrough', 'describe'], ['begin'])
const SEE_THROUGH = pairs(['seeThrough'], ['begin'])
const END_OR_ASK: ReadonlySet<string> = new Set(
  SERVICES.flatMap(({ name, endOrAsk }) => endOrAsk.map((method) => `${name}/${method}`)),
)

/**
 * Such a call gives the callee a delegation token, and counts in hops and budgets.
 * @param method `package.Service/Method`
 */
export function startsTask(method: string): boolean {
  return IMPLIED_BY.has(method)
}

/** True for a call about a task that its caller began before. */
export function seesTaskThrough(method: string): boolean {
  return SEE_THROUGH.has(method)
}

/**
 * True for a call that ends a task or asks for its state, which clients do before they end it. It is served while memory
 * is short, since a task that ends gives memory back.
 */
export function endsOrAsks(method: string): boolean {
  return END_OR_ASK.has(method)
}

/** True for a call that begins nothing: also an agent that may act only within a chain makes it outside of any. */
export function beginsNothing(method: string): boolean {
  return BEGUN_BY.has(method)
}

/** The methods that begin a task and imply this one; none for other methods. */
export function begunBy(method: string): readonly string[] {
  return BEGUN_BY.get(method) ?? NONE
}

/** The patterns of a rule, with the methods that they imply. Null is any method. */
export function withImplied(methods: readonly string[] | null): readonly string[] | null {
  if (methods === null) return null
  const more = methods.flatMap((method) => IMPLIED_BY.get(method) ?? NONE)
  return more.length === 0 ? methods : [...new Set([...methods, ...more])]
}

type Group = 'begin' | 'seeThrough' | 'describe'

function pairs(
  from: readonly Group[],
  to: readonly Group[],
): ReadonlyMap<string, readonly string[]> {
  return new Map(
    SERVICES.flatMap((service) => {
      const named = (groups: readonly Group[]) =>
        groups.flatMap((group) => service[group].map((method) => `${service.name}/${method}`))
      const others = Object.freeze(named(to))
      return named(from).map((method): [string, readonly string[]] => [method, others])
    }),
  )
}
