module OpensslPatch
  # What is stale on this node, asked of the shipped probe.sh and of nothing else.
  module Probe
    SCRIPT = '/var/lib/openssl_patch/probe.sh'.freeze
    FIELDS = %w(pid kind service user library since build command).freeze
    COPY = %w(pid path build).freeze
    COUNTED = %w(service init container orphan).freeze
    # How many fields each line of the answer has.
    LINES = { 'stale' => FIELDS.size, 'own-copy' => COPY.size, 'more' => 1, 'unread' => 1 }.freeze

    # Returns those of the processes that keep the node from being clean: not logins, nor who asks.
    def self.counted(processes)
      processes.select { |process| COUNTED.include?(process['kind']) }
    end

    # Returns `stale`, every stale process, each a hash with FIELDS, and `own_copies`, the OpenSSLs that no upgrade of
    # packages reaches, each with COPY. Raises when the answer is not whole: it is never read as clean.
    def self.look(libraries)
      return { 'stale' => [], 'own_copies' => [] } unless ::File.exist?(SCRIPT) # a first --why-run: nothing was written

      answer = Command.run('sh', SCRIPT, environment: { 'PROBE_LIBRARIES' => libraries.join(' ') })
      answer.error!
      first, *lines, last = answer.stdout.lines.map { |line| line.chomp.split("\t", -1) }
      whole = first == ['styptic-probe 2'] && last == ['end'] && lines.all? { |word, *fields| LINES[word] == fields.size }
      raise 'openssl_patch: probe.sh gave no whole answer' unless whole

      { 'stale' => named(lines, 'stale', FIELDS), 'own_copies' => named(lines, 'own-copy', COPY) }
    end

    def self.named(lines, kind, names)
      lines.select { |word, *| word == kind }.map { |_, *fields| names.zip(fields).to_h }
    end
  end
end
