/** How sources look: small files, no state in modules, no `any`, rooms named for what they do. */
import { faultyLines, isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { stripCommentsAndStrings } from '../strip-source.ts'

const MAX_LINES = 300
const MAX_PROSE = 120
/** One table is one file. */
const TABLES: readonly string[] = ['proto/src/codes.ts']

export function lengthFaults(file: SourceFile): string[] {
  if (packageOf(file.path) === null || !isTypeScript(file.path) || TABLES.includes(file.path))
    return []
  const lines = file.text.split('\n').length - 1
  return lines > MAX_LINES ? [`${file.path}: ${lines} lines, more than ${MAX_LINES}`] : []
}

export function roomFaults(file: SourceFile): string[] {
  return /(?:^|\/)(?:utils?|common|helpers?|misc|shared|lib)(?:\/|\.ts$)/i.test(file.path)
    ? [`${file.path}: a room named for nothing`]
    : []
}

/** Two of everything must run in one process with different certificates: nothing that changes lives in a module. */
export function stateFaults(file: SourceFile): string[] {
  if (packageOf(file.path) === null || !isTypeScript(file.path)) return []
  const code = stripCommentsAndStrings(file.text)
  const collection =
    /^(?:export )?const \w+\b(?!\s*:\s*(?:Readonly|readonly ))[^=]*=\s*(?:new (?:Map|Set|WeakMap|WeakSet|Array|EventEmitter|AsyncLocalStorage)\b|\[\]|\{\}|Object\.create\()/
  return [
    ...faultyLines(file, code, /^(?:export )?(?:let|var) /, 'a variable of the module'),
    ...faultyLines(file, code, collection, 'a mutable collection of the module'),
  ]
}

export function anyFaults(file: SourceFile): string[] {
  if (!isTypeScript(file.path)) return []
  const code = stripCommentsAndStrings(file.text)
  return faultyLines(file, code, /(?:[:<|&,=([]|\bas|=>)\s*any\b(?!\s*(?:[\w=(.:]|\?))/, 'uses any')
}

/** The top of a file says what it is for. */
export function purposeFaults(file: SourceFile): string[] {
  const spoken = packageOf(file.path) !== null || /^(?:scripts|examples)\//.test(file.path)
  if (!spoken || !isTypeScript(file.path)) return []
  return /^(?:#![^\n]*\n)?\/\*\*/.test(file.text)
    ? []
    : [`${file.path}: does not say what it is for`]
}

/** Paths and names of one machine. */
export function machineFaults(file: SourceFile): string[] {
  if (file.path.startsWith('test/repository/')) return []
  const faults = faultyLines(
    file,
    file.text,
    /(?<![\w.~-])\/(?:home|Users|work|root)\/[\w.]/,
    'a path of one machine',
  )
  if (file.path === 'package-lock.json')
    faults.push(...faultyLines(file, file.text, /"resolved": "https?:/, 'a registry host name'))
  faults.push(
    ...faultyLines(
      file,
      file.text,
      /https?:\/\/[\w.-]*(?:registry|artifactory|nexus|goproxy|pypi)[\w.-]*[/:]|^\s*registry\s*=/i,
      'a registry host name',
    ),
  )
  return faults
}

/** Prose of Markdown is wrapped, so that a change of one word is a change of one line. Tables and code are not prose. */
export function proseFaults(file: SourceFile): string[] {
  if (!file.path.endsWith('.md')) return []
  let code = false
  return file.text.split('\n').flatMap((line, index) => {
    if (/^\s*(?:```|~~~)/.test(line)) code = !code
    const prose =
      !code && !/^\s*\|/.test(line) && /\s/.test(line.trim().replace(/^(?:[-*>]|\d+\.) +/, ''))
    return prose && line.length > MAX_PROSE
      ? [`${file.path}:${index + 1}: ${line.length} columns`]
      : []
  })
}
