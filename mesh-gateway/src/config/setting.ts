/** One setting: its sources, its help text, and whether it can change at run time. */
export interface Setting {
  /** Dotted, as in the file. */
  readonly key: string
  readonly env: string
  /** Without the dashes, `identity.dir` → `identity-dir`. */
  readonly flag: string
  readonly value: string
  readonly help: string
  /** True when a change takes effect in a running gateway. */
  readonly live: boolean
  /** A path: relative to the file that names it. */
  readonly path: boolean
}

type Trait = 'live' | 'path'

/** The variable and the flag follow from `key`, unless a trait `MESH_…` names another variable. */
export function setting(
  key: string,
  value: string,
  help: string,
  ...traits: (Trait | `MESH_${string}`)[]
): Setting {
  const words = key.split('.').flatMap((part) => part.split(/(?=[A-Z])/))
  const env = traits.find((trait) => trait.startsWith('MESH_'))
  return Object.freeze({
    key,
    env: env ?? `MESH_${words.join('_').toUpperCase()}`,
    flag: words.join('-').toLowerCase(),
    value,
    help,
    live: traits.includes('live'),
    path: traits.includes('path'),
  })
}
