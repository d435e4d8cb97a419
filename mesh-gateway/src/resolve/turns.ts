/**
 * Lets so many questions run at once, and no more than a share of them for one tenant, and of that for one of its agents. The others wait, a
 * bounded number, and whoever has the least running is next: tenants first, then the agents of one. Who asks for thousands of names
 * waits for its own, not in front of everybody.
 */
import { ResolveFailure } from './resolver.ts'
import { within } from './within.ts'

export interface TurnsOptions {
  /** All askers together. */
  readonly atOnce: number
  readonly atOncePerTenant: number
  atOncePerAsker(asker: string): number
  /** How many may wait, all askers together. */
  readonly waiting: number
  waitingPerTenant(tenant: string): number
  waitingPerAsker(asker: string): number
}

export interface Turns {
  /**
   * Runs `work` when its turn comes. Who has given up waiting is out of the queue, and its work never runs.
   * @param asker `<tenant>/<agent>`; one without a slash is a tenant of its own
   * @throws ResolveFailure `timeout`, or at once `too-many` of the asker's own or `busy`
   */
  take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T>
  /** What waits is refused. */
  close(): void
}

interface Waiter {
  begin(): void
  refuse(): void
}

/** Of an agent; of a tenant the sums of its agents. */
interface Line {
  running: number
  waiting: number
}

interface Agent extends Line {
  /** Of it at once. */
  readonly most: number
  readonly queue: Waiter[]
}

interface Tenant extends Line {
  /** Whoever was let in last is behind those who were there. */
  readonly agents: Map<string, Agent>
}

/** Where one waits and runs: names, and what is counted for them. */
interface Place {
  readonly tenantName: string
  readonly tenant: Tenant
  readonly asker: string
  readonly agent: Agent
}

export function createTurns(options: TurnsOptions): Turns {
  const { atOnce, atOncePerTenant } = options
  /** Whoever was let in last is behind those who were there. */
  const tenants = new Map<string, Tenant>()
  let running = 0
  let waiting = 0

  const newAgent = (asker: string): Agent => {
    const most = options.atOncePerAsker(asker)
    return { running: 0, waiting: 0, most, queue: [] }
  }
  const placeOf = (asker: string): Place => {
    const tenantName = asker.split('/', 1)[0] ?? asker
    const tenant = tenants.get(tenantName) ?? { running: 0, waiting: 0, agents: new Map() }
    tenants.set(tenantName, tenant)
    const agent = tenant.agents.get(asker) ?? newAgent(asker)
    tenant.agents.set(asker, agent)
    return { tenantName, tenant, asker, agent }
  }
  const forget = ({ tenantName, tenant, asker, agent }: Place) => {
    if (agent.running === 0 && agent.waiting === 0) tenant.agents.delete(asker)
    if (tenant.agents.size === 0) tenants.delete(tenantName)
  }
  const wait = ({ tenant, agent }: Place, by: 1 | -1) => {
    waiting += by
    tenant.waiting += by
    agent.waiting += by
  }
  const hasRoom = ({ tenant, agent }: Pick<Place, 'tenant' | 'agent'>) =>
    running < atOnce && tenant.running < atOncePerTenant && agent.running < agent.most

  const run = async <T>(place: Place, work: () => Promise<T>): Promise<T> => {
    const { tenantName, tenant, asker, agent } = place
    running += 1
    tenant.running += 1
    agent.running += 1
    tenants.delete(tenantName)
    tenants.set(tenantName, tenant)
    tenant.agents.delete(asker)
    tenant.agents.set(asker, agent)
    try {
      return await work()
    } finally {
      running -= 1
      tenant.running -= 1
      agent.running -= 1
      forget(place)
      next()
    }
  }
  const next = () => {
    while (running < atOnce) {
      const tenant = least(
        tenants.values(),
        (one) => one.running < atOncePerTenant && nextAgent(one) !== null,
      )
      const agent = tenant === null ? null : nextAgent(tenant)
      const waiter = agent?.queue.shift()
      if (waiter === undefined) return
      waiter.begin()
    }
  }
  const nextAgent = (tenant: Tenant): Agent | null =>
    tenant.waiting === 0
      ? null
      : least(tenant.agents.values(), (one) => one.waiting > 0 && one.running < one.most)

  return {
    take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T> {
      const place = placeOf(asker)
      const { tenantName, tenant, agent } = place
      if (agent.waiting === 0 && hasRoom(place)) return within(run(place, work), timeoutMs)
      const own = agent.waiting >= options.waitingPerAsker(asker)
      if (
        own ||
        tenant.waiting >= options.waitingPerTenant(tenantName) ||
        waiting >= options.waiting
      ) {
        forget(place)
        return Promise.reject(new ResolveFailure(own ? 'too-many' : 'busy'))
      }
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const waiter: Waiter = {
        begin() {
          wait(place, -1)
          resolve(run(place, work))
        },
        refuse() {
          wait(place, -1)
          reject(new ResolveFailure('failed'))
        },
      }
      agent.queue.push(waiter)
      wait(place, 1)
      return within(promise, timeoutMs, () => {
        const at = agent.queue.indexOf(waiter)
        if (at === -1) return
        agent.queue.splice(at, 1)
        wait(place, -1)
        forget(place)
      })
    },
    close() {
      for (const tenant of [...tenants.values()])
        for (const agent of [...tenant.agents.values()])
          for (const waiter of agent.queue.splice(0)) waiter.refuse()
    },
  }
}

/** Who has the least running of those who may have more; of equals the one who was let in longest ago. */
function least<T extends Line>(lines: Iterable<T>, may: (line: T) => boolean): T | null {
  let found: T | null = null
  for (const line of lines)
    if ((found === null || line.running < found.running) && may(line)) found = line
  return found
}
