/** Writes the page docs/reference/errors.md from the table of errors. Pure: the same table gives the same page. */
import { ERRORS, type ErrorRow, GRPC_STATUS } from '@clawmesh/proto'

export const ERRORS_PAGE = 'docs/reference/errors.md'

export function errorsPage(errors: Readonly<Record<string, ErrorRow>> = ERRORS): string {
  const areas = Map.groupBy(Object.entries(errors), ([code]) => code.split('_')[1] ?? '')
  return `# Errors

<!-- Written by \`npm run docs\` from proto/src/codes.ts. Change the table there, not this page. -->

Every refusal and failure has one code. Match on the code, never on words.

- On the egress port the answer is \`HTTP\`, with a JSON body \`{code, gate, reason, rule, hint, request_id}\`;
  for CONNECT the reason is in the status line too.
- On the delegation port it is \`gRPC\`, with \`google.rpc.ErrorInfo{reason: <code>, domain: "clawmesh"}\` in the trailers,
  and \`RetryInfo\` where a retry can help.
- In the SDK it is a \`MeshError\` with \`code\`, \`message\` and \`hint\`.
- **Retry** says whether the same request may succeed later with nothing changed. *After a renewal*: when a certificate
  or a CA is renewed. *No* is final: the SDK does not ask again, also where a stream was cut.

${[...areas].map(([area, rows]) => section(area, rows)).join('\n')}`
}

function section(area: string, rows: readonly [string, ErrorRow][]): string {
  return `## MESH_${area}

| Code | HTTP | gRPC | Retry | Meaning | What to do |
|---|---|---|---|---|---|
${rows.map(([code, row]) => `| ${cells(code, row).join(' | ')} |`).join('\n')}
`
}

function cells(code: string, row: ErrorRow): string[] {
  const grpc = `${row.grpc} (${GRPC_STATUS[row.grpc]})`
  const retry = row.retryable ? 'yes' : row.final ? 'no' : 'after a renewal'
  const text = [row.meaning, row.hint].map(escapeCell)
  return [`\`${code}\``, String(row.http), grpc, retry, ...text]
}

/** Pipes end a cell and angle brackets begin a tag, unless they are written as code. */
function escapeCell(text: string): string {
  return text
    .split('`')
    .map((piece, index) =>
      index % 2 === 1 ? piece.replaceAll('|', '\\|') : piece.replaceAll(/[|<>]/g, '\\$&'),
    )
    .join('`')
}
