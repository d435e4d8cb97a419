/**
 * A two-level fair queue: tenants first, then the agents of a tenant; each level serves the one with the fewest
 * running, ties by least recently served. Bounds the running and the waiting: in all, per tenant and per agent. Has no
 * timers, and runs nothing.
 */

export interface FairBounds {
  /** Maximum running, over all tenants. */
  readonly running: number
  runningPerTenant(tenant: string): number
  runningPerAsker(asker: string): number
  /** Maximum waiting, over all tenants. */
  readonly waiting: number
  waitingPerTenant(tenant: string): number
  waitingPerAsker(asker: string): number
}

/** The place of one that runs. */
export interface Place {
  /** Idempotent. */
  leave(): void
}

export interface Queued {
  /** False when it no longer waits. */
  remove(): boolean
}

interface Line {
  running: number
  waiting: number
}

interface Agent<W> extends Line {
  readonly asker: string
  readonly tenant: Tenant<W>
  readonly queue: W[]
}

/** Sums over its agents. */
interface Tenant<W> extends Line {
  readonly name: string
  /** In order of service: the most recently served is last. */
  readonly agents: Map<string, Agent<W>>
}

export class FairQueue<W> {
  readonly #bounds: FairBounds
  /** In order of service: the most recently served is last. */
  readonly #tenants = new Map<string, Tenant<W>>()
  #running = 0
  #waiting = 0

  /** @param bounds read each time, so that they may change */
  constructor(bounds: FairBounds) {
    this.#bounds = bounds
  }

  /** True when nothing runs and nothing waits. */
  get empty(): boolean {
    return this.#tenants.size === 0
  }

  /** @param asker `<tenant>/<agent>`; a name without a slash is a tenant of its own. Null when it must wait. */
  enter(asker: string): Place | null {
    const agent = this.#agentOf(asker)
    const may = agent.waiting === 0 && this.#tenantMay(agent.tenant) && this.#agentMay(agent)
    if (may) return this.#run(agent)
    this.#forget(agent)
    return null
  }

  /** Null when no more may wait; `fullFor` tells which bound is reached. */
  push(asker: string, waiter: W): Queued | null {
    if (this.fullFor(asker) !== null) return null
    const agent = this.#agentOf(asker)
    agent.queue.push(waiter)
    this.#wait(agent, 1)
    return {
      remove: () => {
        const at = agent.queue.indexOf(waiter)
        if (at === -1) return false
        agent.queue.splice(at, 1)
        this.#wait(agent, -1)
        this.#forget(agent)
        return true
      },
    }
  }

  /** The bound that keeps one more of the asker's from waiting; null for none. */
  fullFor(asker: string): 'asker' | 'tenant' | 'all' | null {
    const name = tenantOf(asker)
    const tenant = this.#tenants.get(name)
    const bounds = this.#bounds
    if ((tenant?.agents.get(asker)?.waiting ?? 0) >= bounds.waitingPerAsker(asker)) return 'asker'
    if ((tenant?.waiting ?? 0) >= bounds.waitingPerTenant(name)) return 'tenant'
    return this.#waiting >= bounds.waiting ? 'all' : null
  }

  /** True when a waiting one may run. */
  hasNext(): boolean {
    return this.#nextAgent() !== null
  }

  /** Takes the next that may run; it counts as running from now on. */
  shift(): { readonly waiter: W; readonly place: Place } | null {
    const agent = this.#nextAgent()
    const waiter = agent?.queue.shift()
    if (agent === null || waiter === undefined) return null
    this.#wait(agent, -1)
    return { waiter, place: this.#run(agent) }
  }

  /** Removes all that wait. */
  clear(): W[] {
    const all: W[] = []
    for (const tenant of [...this.#tenants.values()])
      for (const agent of [...tenant.agents.values()]) {
        const waiters = agent.queue.splice(0)
        this.#wait(agent, -waiters.length)
        this.#forget(agent)
        all.push(...waiters)
      }
    return all
  }

  #agentOf(asker: string): Agent<W> {
    const name = tenantOf(asker)
    const tenant = this.#tenants.get(name) ?? { name, running: 0, waiting: 0, agents: new Map() }
    this.#tenants.set(name, tenant)
    const agent = tenant.agents.get(asker) ?? { asker, tenant, running: 0, waiting: 0, queue: [] }
    tenant.agents.set(asker, agent)
    return agent
  }

  #forget({ asker, tenant, running, waiting }: Agent<W>): void {
    if (running === 0 && waiting === 0) tenant.agents.delete(asker)
    if (tenant.agents.size === 0) this.#tenants.delete(tenant.name)
  }

  #run(agent: Agent<W>): Place {
    const { asker, tenant } = agent
    const count = (by: 1 | -1) => {
      this.#running += by
      tenant.running += by
      agent.running += by
    }
    count(1)
    this.#tenants.delete(tenant.name)
    this.#tenants.set(tenant.name, tenant)
    tenant.agents.delete(asker)
    tenant.agents.set(asker, agent)
    let left = false
    return {
      leave: () => {
        if (left) return
        left = true
        count(-1)
        this.#forget(agent)
      },
    }
  }

  #wait(agent: Agent<W>, by: number): void {
    this.#waiting += by
    agent.tenant.waiting += by
    agent.waiting += by
  }

  #tenantMay({ name, running }: Tenant<W>): boolean {
    return this.#running < this.#bounds.running && running < this.#bounds.runningPerTenant(name)
  }

  #agentMay({ asker, running }: Agent<W>): boolean {
    return running < this.#bounds.runningPerAsker(asker)
  }

  #nextAgent(): Agent<W> | null {
    if (this.#waiting === 0) return null
    const of = (tenant: Tenant<W>) =>
      tenant.waiting === 0 || !this.#tenantMay(tenant)
        ? null
        : least(tenant.agents.values(), (one) => one.waiting > 0 && this.#agentMay(one))
    const tenant = least(this.#tenants.values(), (one) => of(one) !== null)
    return tenant === null ? null : of(tenant)
  }
}

function tenantOf(asker: string): string {
  return asker.split('/', 1)[0] ?? asker
}

/** Of the lines that may run more, the one with the fewest running; ties by least recently served. */
function least<T extends Line>(lines: Iterable<T>, may: (line: T) => boolean): T | null {
  let found: T | null = null
  for (const line of lines)
    if ((found === null || line.running < found.running) && may(line)) found = line
  return found
}
