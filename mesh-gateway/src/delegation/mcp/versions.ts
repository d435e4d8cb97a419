/** Revisions of MCP, named by their dates. */

/** The newest first. The older ones differ in what this endpoint does not use, or takes from both. */
const VERSIONS: readonly string[] = Object.freeze([
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
])

export function isVersion(version: string): boolean {
  return VERSIONS.includes(version)
}

/** The version to speak with a client that asks for one: that one, or else the newest. */
export function versionFor(asked: unknown): string {
  const [newest = ''] = VERSIONS
  return typeof asked === 'string' && isVersion(asked) ? asked : newest
}
