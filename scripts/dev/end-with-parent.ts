/** Loaded by --import before a command that knows nothing of its parent: the command is asked to end when the parent is gone. */
if (process.connected) {
  process.once('disconnect', () => {
    process.kill(process.pid, 'SIGTERM')
  })
  // the link alone keeps nobody running
  process.channel?.unref()
}
