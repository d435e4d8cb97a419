/** The tools of the mesh for any agent host: one body of code for MCP, for the shell and for plugins. */
export {}
