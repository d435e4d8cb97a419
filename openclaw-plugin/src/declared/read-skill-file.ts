/** What a skill of OpenClaw needs of the mesh, as the frontmatter of its SKILL.md says it. */

export interface Needs {
  readonly peers: readonly string[]
  readonly hosts: readonly string[]
}

export interface SkillNeeds extends Needs {
  /** Names with `*`, which a skill may not declare: its agent may have written it. */
  readonly patterns: readonly string[]
}

/**
 * Reads `metadata: {"clawmesh": {"peers": ["researcher.acme.mesh.internal"], "hosts": ["api.github.com"]}}`, in one line or
 * in several that are indented. Null when the file says nothing of the mesh.
 * @throws TypeError saying what is wrong with it
 */
export function readNeeds(text: string): SkillNeeds | null {
  const metadata = metadataOf(text)
  if (metadata === null) return null
  // of other hosts, which allow what JSON does not: only what names the mesh has to be right
  if (!metadata.includes('clawmesh')) return null
  const found = fieldOf(parse(metadata), 'clawmesh')
  if (found === undefined) return null
  if (typeof found !== 'object' || found === null || Array.isArray(found))
    throw new TypeError('metadata.clawmesh is not an object')
  for (const key of Object.keys(found))
    if (key !== 'peers' && key !== 'hosts')
      throw new TypeError(`metadata.clawmesh.${key.slice(0, 60)} is not a key that there is`)
  const all = { peers: names(found, 'peers'), hosts: names(found, 'hosts') }
  const single = (list: readonly string[]) => list.filter((name) => !name.includes('*'))
  const patterns = [...all.peers, ...all.hosts].filter((name) => name.includes('*'))
  return Object.freeze({ peers: single(all.peers), hosts: single(all.hosts), patterns })
}

/** The value of `metadata`, up to the next key of the frontmatter. */
function metadataOf(text: string): string | null {
  const [, head] = /^\uFEFF?---\r?\n(.*?)\r?\n---(?:\r?\n|$)/s.exec(text) ?? []
  if (head === undefined) return null
  const lines = head.split(/\r?\n/)
  const from = lines.findIndex((line) => /^metadata\s*:/.test(line))
  if (from === -1) return null
  const after = lines.slice(from + 1)
  const end = after.findIndex((line) => /^[^\s#}\]]/.test(line))
  const [first = ''] = lines.slice(from)
  const more = end === -1 ? after : after.slice(0, end)
  return [first.replace(/^metadata\s*:/, ''), ...more].join('\n').trim()
}

function parse(metadata: string): unknown {
  try {
    // commas before a closing bracket are usual there
    return JSON.parse(metadata.replaceAll(/,(\s*[}\]])/g, '$1'))
  } catch {
    throw new TypeError('metadata is not JSON')
  }
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return new Map<string, unknown>(Object.entries(value)).get(key)
}

function names(found: object, key: string): readonly string[] {
  const list = fieldOf(found, key) ?? []
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string' && each !== ''))
    throw new TypeError(`metadata.clawmesh.${key} is not a list of names`)
  return Object.freeze(list.map(String))
}
