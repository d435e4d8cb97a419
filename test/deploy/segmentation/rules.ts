/** The files of deploy/segmentation as an operator uses them, by nftables and by iptables, in the namespace that they are for. */
import { fileURLToPath } from 'node:url'
import type { NetworkNamespace } from './network-namespace.ts'

export const RULES = fileURLToPath(new URL('../../../deploy/segmentation/', import.meta.url))

export interface Rules {
  readonly tool: string
  load(): Promise<void>
  remove(): Promise<void>
  /** Packets dropped so far, of all reasons. */
  dropped(): Promise<number>
  /** All rules in force there, with those of others, without counts. */
  list(): Promise<string>
}

export interface RulesOptions {
  readonly space: NetworkNamespace
  /** The name of the files. */
  readonly name: string
  /** Default: deploy/segmentation. */
  readonly dir?: string
}

export const TOOLS = ['nftables', 'iptables'] as const

export function rulesOf(tool: (typeof TOOLS)[number], options: RulesOptions): Rules {
  return tool === 'nftables' ? nftables(options) : iptables(options)
}

function nftables({ space, name, dir = RULES }: RulesOptions): Rules {
  return {
    tool: 'nftables',
    load: async () => void (await space.run('nft', '-f', `${dir}/${name}.nft`)),
    remove: async () => void (await space.run('nft', '-f', `${dir}/remove.nft`)),
    async dropped() {
      const text = await space.run('nft', 'list', 'counters', 'table', 'inet', 'clawmesh')
      // what every host says by itself to all routers and listeners is no attempt
      const counted = [...text.matchAll(/counter (\w+) \{\s*packets (\d+)/g)]
      return sum(
        counted.filter(([, reason]) => reason !== 'chatter').map(([, , packets]) => packets),
      )
    },
    list: () => listAll(space),
  }
}

function iptables({ space, name, dir = RULES }: RulesOptions): Rules {
  const run = (...args: readonly string[]) => space.run(`${RULES}/iptables.sh`, ...args)
  return {
    tool: 'iptables',
    load: async () => void (await run('load', `${dir}/${name}`)),
    remove: async () => void (await run('remove')),
    async dropped() {
      const counted = [...(await run('counters')).matchAll(/^ipv[46] (\w+) (\d+)$/gm)]
      return sum(
        counted.filter(([, reason]) => reason !== 'chatter').map(([, , packets]) => packets),
      )
    },
    list: () => listAll(space),
  }
}

async function listAll(space: NetworkNamespace): Promise<string> {
  const [inet, ...listed] = await Promise.all([
    space.run('nft', '--stateless', 'list', 'ruleset', 'inet'),
    space.run('iptables-save'),
    space.run('ip6tables-save'),
  ])
  // the tables and chains of iptables itself come with the first rule, and stay
  const rules = listed.flatMap((text) => text.split('\n')).filter((line) => /^-|^:CLAW/.test(line))
  return [inet, ...rules].join('\n').replaceAll(/\[\d+:\d+\]/g, '')
}

function sum(counts: readonly (string | undefined)[]): number {
  return counts.reduce((total, count) => total + Number(count), 0)
}
