/** The programs that tests of deploy build from Go modules. helm-and-kubectl.ts has those that need no build. */

export interface GoTool {
  /** The package of its main. */
  readonly package: string
  /** The directory of its module, below this one. Default: this one. */
  readonly module?: string
  /** Variables of packages, for `go build -ldflags -X`. */
  readonly set: Readonly<Record<string, string>>
}

export const TOOLS: Readonly<Record<string, GoTool>> = {
  cyclonus: {
    ...{ module: 'cyclonus', package: 'github.com/mattfenwick/cyclonus/cmd/cyclonus' },
    set: {},
  },
  'otel-collector': { module: 'otel-collector', package: '.', set: {} },
  'victoria-logs': {
    module: 'victoria-logs',
    package: 'github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs',
    set: {},
  },
}
