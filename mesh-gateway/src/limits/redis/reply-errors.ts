/**
 * Classifies error replies of Redis by their code, which is the first word (RESP, "Simple errors"). Some codes mean
 * that the server cannot serve now. Any other error is about one question, such as a key of another type, and must not
 * stop other tenants.
 */
const ABOUT_THE_SERVER: ReadonlySet<string> = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'MISCONF',
  'NOAUTH',
  'NOPERM',
  'NOREPLICAS',
  'OOM',
  'READONLY',
  'UNKILLABLE',
  'WRONGPASS',
])

export function refusesOneQuestion(cause: unknown): boolean {
  // the class of ioredis has no type, and loading it takes megabytes
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') return false
  const [code = ''] = cause.message.split(' ', 1)
  return !ABOUT_THE_SERVER.has(code)
}
