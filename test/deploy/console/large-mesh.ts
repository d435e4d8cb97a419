/** An answer of GET /api/mesh with many agents, some of which have hostile names. */

/** Names as they come, and as the console shows them. */
export const HOSTILE = [
  { name: '<img src=x onerror="globalThis.hacked = 1">', seen: '<img src=x onerror=' },
  { name: '</td><script>globalThis.hacked = 1</script>', seen: '</td><script>globalThis' },
  { name: 'evil\u202egnp.exe', seen: 'evil\\u{202e}gnp.exe' },
  { name: 'two\u0000\nlines\u200b', seen: 'two\\u{0}\\u{a}lines\\u{200b}' },
  {
    name: '{{globalThis.hacked = 1}}<!--',
    seen: '{{globalThis.hacked = 1}}<!--',
  },
  { name: 'x'.repeat(5_000), seen: `${'x'.repeat(200)}…` },
] as const

export function meshOf(agents: number) {
  const edge = (from: string, to: string, refused: number, plane = 'delegation') => ({
    ...{ plane, from, to, allowed: 10, refused, open: 0, duration_ms: 120 },
    reason: refused === 0 ? null : 'MESH_POLICY_NOT_ALLOWED',
    rule: null,
    last: '2026-11-30T08:00:00.000Z',
  })
  const name = (i: number) => `acme/agent-${i % agents}`
  const edges = Array.from({ length: agents }, (_, i) => [
    edge(name(i), name(i * 7 + 1), 0),
    edge(name(i), `host-${i % 50}.example:443`, Number(i % 100 === 0), 'egress'),
  ])
  return {
    edges: [...HOSTILE.map((one) => edge(one.name, one.name, 1_000)), ...edges.flat()],
    left_out: 0,
  }
}
