/** The command of a command line. */

/** What is needed of commander's `Command`: agents install this package too, and do without commander. */
export interface CommandNode<C> {
  name(): string
  readonly commands: readonly C[]
}

/**
 * The intended command, as far as its spelling is right.
 * @param args without the names of node and the script
 * @returns the command, and its words as they are typed, such as `mesh-gateway policy check`
 */
export function commandMeant<C extends CommandNode<C>>(
  args: readonly string[],
  program: C,
): { readonly line: string; readonly command: C } {
  let line = program.name()
  let command = program
  for (const word of args) {
    const next = command.commands.find((one) => one.name() === word)
    if (next === undefined) continue
    line += ` ${word}`
    command = next
  }
  return { line, command }
}
