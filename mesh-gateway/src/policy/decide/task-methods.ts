/**
 * The methods that begin a task, and those that continue it: follow it, query it, answer its questions, end it. For our
 * own service and A2A's. The gateway judges by the method alone, since it reads no payload. Methods that make a callee
 * do something else, such as A2A's push notifications, are neither.
 */
import { DELEGATION_SERVICE } from '@clawmesh/proto'

interface TaskService {
  readonly name: string
  readonly begin: readonly string[]
  readonly seeThrough: readonly string[]
}

const SERVICES: readonly TaskService[] = Object.freeze([
  {
    name: DELEGATION_SERVICE,
    begin: ['Delegate'],
    seeThrough: ['Watch', 'Get', 'List', 'Cancel', 'SendInput'],
  },
  {
    name: 'lf.a2a.v1.A2AService',
    begin: ['SendMessage', 'SendStreamingMessage'],
    seeThrough: ['GetTask', 'ListTasks', 'CancelTask', 'SubscribeToTask'],
  },
  {
    name: 'a2a.v1.A2AService',
    begin: ['SendMessage', 'SendStreamingMessage'],
    seeThrough: ['GetTask', 'CancelTask', 'TaskSubscription'],
  },
])

const NONE: readonly string[] = Object.freeze([])
/** By method, the methods of the other group of its service. */
const SEEN_THROUGH_BY = pairs('begin', 'seeThrough')
const BEGUN_BY = pairs('seeThrough', 'begin')

/**
 * Such a call gives the callee a delegation token, and counts in hops and budgets.
 * @param method `package.Service/Method`
 */
export function startsTask(method: string): boolean {
  return SEEN_THROUGH_BY.has(method)
}

/** True for a call about a task that its caller began before. */
export function seesTaskThrough(method: string): boolean {
  return BEGUN_BY.has(method)
}

/** The methods that begin a task which this method continues; none for other methods. */
export function begunBy(method: string): readonly string[] {
  return BEGUN_BY.get(method) ?? NONE
}

/** The patterns of a rule, with the methods that they imply. Null is any method. */
export function withSeeingThrough(methods: readonly string[] | null): readonly string[] | null {
  if (methods === null) return null
  const more = methods.flatMap((method) => SEEN_THROUGH_BY.get(method) ?? NONE)
  return more.length === 0 ? methods : [...new Set([...methods, ...more])]
}

function pairs(
  from: 'begin' | 'seeThrough',
  to: 'begin' | 'seeThrough',
): ReadonlyMap<string, readonly string[]> {
  return new Map(
    SERVICES.flatMap((service) => {
      const full = (method: string) => `${service.name}/${method}`
      const others = Object.freeze(service[to].map(full))
      return service[from].map((method): [string, readonly string[]] => [full(method), others])
    }),
  )
}
