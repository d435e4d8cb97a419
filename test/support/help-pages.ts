/** The help of a command and of all commands below it, found by what each page lists. */

export interface HelpPage {
  /** `mesh-pki issue agent` without the program: `issue agent`; empty for the first page. */
  readonly of: string
  readonly lines: readonly string[]
}

/**
 * Every page, as a terminal that is much wider than 80 columns shows it.
 * @param ask what the command prints on stdout for these arguments
 */
export async function helpPages(
  ask: (args: readonly string[]) => Promise<string>,
): Promise<HelpPage[]> {
  using _ = wideTerminal()
  const pages: HelpPage[] = []
  const toRead: (readonly string[])[] = [[]]
  for (const words of toRead) {
    const lines = (await ask([...words, '--help'])).split('\n')
    pages.push({ of: words.join(' '), lines })
    for (const name of commandsIn(lines)) toRead.push([...words, name])
  }
  return pages
}

function commandsIn(lines: readonly string[]): string[] {
  const at = lines.indexOf('Commands:')
  if (at === -1) return []
  const end = lines.indexOf('', at)
  return lines
    .slice(at + 1, end === -1 ? undefined : end)
    .flatMap((line) => /^ {2}([a-z][\w-]*)/.exec(line)?.[1] ?? [])
}

/** Commander looks at the process when it wraps. */
function wideTerminal(): Disposable {
  const { stdout } = process
  const before = ['isTTY', 'columns'].map(
    (name) => [name, Object.getOwnPropertyDescriptor(stdout, name)] as const,
  )
  for (const [name, value] of [
    ['isTTY', true],
    ['columns', 200],
  ] as const)
    Object.defineProperty(stdout, name, { value, configurable: true, writable: true })
  return {
    [Symbol.dispose]() {
      for (const [name, descriptor] of before) {
        Reflect.deleteProperty(stdout, name)
        if (descriptor !== undefined) Object.defineProperty(stdout, name, descriptor)
      }
    },
  }
}
