/**
 * The changes that are tried on one node of a program. Each is a fault that a person could make and that no compiler would
 * find: a condition that always holds, a bound moved by one, a check or a call left out.
 */
import type { AnyNode } from 'acorn'

/** Puts `by` in the place of the text between two offsets. */
export interface Edit {
  readonly operator: string
  readonly start: number
  readonly end: number
  readonly by: string
}

export type TextOf = (start: number, end: number) => string

const COMPARISONS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    '===': ['!=='],
    '!==': ['==='],
    '==': ['!='],
    '!=': ['=='],
    '<': ['<=', '>='],
    '<=': ['<', '>'],
    '>': ['>=', '<='],
    '>=': ['>', '<'],
  }),
)
const ARITHMETIC: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '+': '-',
    '-': '+',
    '*': '/',
    '/': '*',
    '%': '*',
    '<<': '>>',
    '>>': '<<',
    '>>>': '<<',
    '&': '|',
    '|': '&',
    '^': '&',
  }),
)
const ASSIGNMENTS: ReadonlyMap<string, string> = new Map(Object.entries({ '+=': '-=', '-=': '+=' }))
const METHODS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    startsWith: 'endsWith',
    endsWith: 'startsWith',
    some: 'every',
    every: 'some',
    min: 'max',
    max: 'min',
  }),
)
/** Calls that are taken away and leave what they were called on. */
const DROPPED: ReadonlySet<string> = new Set([
  ...['filter', 'slice', 'subarray', 'sort', 'toSorted', 'reverse', 'trim', 'toLowerCase'],
  ...['toUpperCase', 'flat'],
])
/** Whether a process waits for a timer or a socket is nothing that a test in the same process can see. */
const UNSEEN_CALLS: ReadonlySet<string> = new Set(['unref', 'ref'])
/** Larger numbers are sizes and durations, whose neighbours nobody can tell apart. */
const LARGEST_NUMBER = 16

export function editsOf(node: AnyNode, parents: readonly AnyNode[], text: TextOf): Edit[] {
  const parent = parents.at(-1)
  switch (node.type) {
    case 'IfStatement':
    case 'ConditionalExpression':
      return [replace('condition', node.test, 'true'), replace('condition', node.test, 'false')]
    case 'WhileStatement':
      return [replace('condition', node.test, 'false')]
    case 'ForStatement':
      return node.test ? [replace('condition', node.test, 'false')] : []
    case 'LogicalExpression':
      return logicalEdits(node, text)
    case 'BinaryExpression':
      return binaryEdits(node, parent, text)
    case 'AssignmentExpression': {
      const by = ASSIGNMENTS.get(node.operator)
      return by === undefined ? [] : betweenEdits('arithmetic', node, node.operator, [by], text)
    }
    case 'UnaryExpression':
      return node.operator === '!' ? [replace('negation', node, textOf(node.argument, text))] : []
    case 'UpdateExpression': {
      const by = node.operator === '++' ? '--' : '++'
      const argument = textOf(node.argument, text)
      return [replace('arithmetic', node, node.prefix ? by + argument : argument + by)]
    }
    case 'Literal':
      return isMark(parents) ? [] : literalEdits(node, parent)
    case 'CallExpression':
      return callEdits(node, text)
    case 'ArrowFunctionExpression':
      return isCall(node.body) && !isUnseen(node.body)
        ? [replace('left out', node.body, 'undefined')]
        : []
    case 'ExpressionStatement':
      return node.directive === undefined && !isUnseen(node.expression)
        ? [replace('left out', node, ';')]
        : []
    case 'ThrowStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
      return [replace('left out', node, ';')]
    case 'ReturnStatement':
      return node.argument ? [] : [replace('left out', node, ';')]
    default:
      return []
  }
}

type NodeOf<Type extends AnyNode['type']> = Extract<AnyNode, { readonly type: Type }>
interface Range {
  readonly start: number
  readonly end: number
}

const replace = (operator: string, { start, end }: Range, by: string): Edit => ({
  operator,
  start,
  end,
  by,
})
const textOf = ({ start, end }: Range, text: TextOf) => text(start, end)

function logicalEdits(node: NodeOf<'LogicalExpression'>, text: TextOf): Edit[] {
  // `??` may not stand beside `&&` without parentheses
  if (node.operator === '??')
    return [
      replace('default', node, textOf(node.left, text)),
      replace('default', node, textOf(node.right, text)),
    ]
  const by = node.operator === '&&' ? '||' : '&&'
  const swapped = betweenEdits('logic', node, node.operator, [by], text)
  // each side alone: a condition that is left out
  return [
    ...swapped,
    replace('logic', node.left, node.operator === '&&' ? 'true' : 'false'),
    replace('logic', node.right, node.operator === '&&' ? 'true' : 'false'),
  ]
}

function binaryEdits(
  node: NodeOf<'BinaryExpression'>,
  parent: AnyNode | undefined,
  text: TextOf,
): Edit[] {
  const comparisons = COMPARISONS.get(node.operator)
  if (comparisons !== undefined) {
    // a condition that is turned round is seen where true and false in its place are
    const whole = parent !== undefined && 'test' in parent && parent.test === node
    const tried = whole ? comparisons.slice(0, comparisons.length - 1) : comparisons
    return betweenEdits('comparison', node, node.operator, tried, text)
  }
  const by = ARITHMETIC.get(node.operator)
  if (by === undefined || isText(node.left) || isText(node.right)) return []
  return betweenEdits('arithmetic', node, node.operator, [by], text)
}

/** Swaps the operator that stands between two operands. */
function betweenEdits(
  name: string,
  { left, right }: { readonly left: Range; readonly right: Range },
  operator: string,
  by: readonly string[],
  text: TextOf,
): Edit[] {
  const between = text(left.end, right.start)
  const at = between.indexOf(operator)
  if (at < 0) return []
  const start = left.end + at
  return by.map((one) => replace(name, { start, end: start + operator.length }, one))
}

function literalEdits(node: NodeOf<'Literal'>, parent: AnyNode | undefined): Edit[] {
  const { value, regex } = node
  if (typeof value === 'boolean') return [replace('boolean', node, String(!value))]
  if (typeof value === 'number') {
    const small = Number.isInteger(value) && Math.abs(value) <= LARGEST_NUMBER
    return small ? [replace('number', node, String(value + 1))] : []
  }
  if (!regex || parent?.type === 'ImportDeclaration') return []
  const { pattern, flags } = regex
  const tried: string[] = []
  if (pattern.startsWith('^')) tried.push(pattern.slice(1))
  if (pattern.endsWith('$') && !pattern.endsWith('\\$')) tried.push(pattern.slice(0, -1))
  return tried
    .filter((one) => one !== '')
    .map((one) => replace('pattern', node, `/${one}/${flags}`))
}

function callEdits(node: NodeOf<'CallExpression'>, text: TextOf): Edit[] {
  const { callee } = node
  if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return []
  if (callee.computed) return []
  const { name } = callee.property
  const other = METHODS.get(name)
  if (other !== undefined) return [replace('method', callee.property, other)]
  return DROPPED.has(name) ? [replace('method', node, textOf(callee.object, text))] : []
}

function isCall(node: AnyNode): boolean {
  if (node.type === 'UnaryExpression' && node.operator === 'void') return isCall(node.argument)
  if (node.type === 'ChainExpression') return isCall(node.expression)
  return node.type === 'CallExpression'
}

function isUnseen(node: AnyNode): boolean {
  if (node.type === 'ChainExpression') return isUnseen(node.expression)
  if (node.type !== 'CallExpression') return false
  const { callee } = node
  if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return false
  return UNSEEN_CALLS.has(callee.property.name)
}

/** The values of optionNames({ … }) are looked at by no one: its type asks for all names. */
function isMark(parents: readonly AnyNode[]): boolean {
  const [call, , property] = parents.slice(-3)
  return (
    property?.type === 'Property' &&
    call?.type === 'CallExpression' &&
    call.callee.type === 'Identifier' &&
    call.callee.name === 'optionNames'
  )
}

function isText(node: AnyNode): boolean {
  return (
    node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node.value === 'string')
  )
}
