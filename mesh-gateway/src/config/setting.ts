/** One setting: where it is given, how it is told, and whether it can change while running. */
export interface Setting {
  /** Dotted, as in the file. */
  readonly key: string
  readonly env: string
  /** Without the dashes, `identity.dir` → `identity-dir`. */
  readonly flag: string
  readonly value: string
  readonly help: string
  /** True when a running gateway takes a change over. */
  readonly live: boolean
  /** A path: relative ones are relative to the file that names them. */
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
