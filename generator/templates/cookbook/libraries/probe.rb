require 'mixlib/shellout'

module OpensslPatch
  # What is stale on this node, asked of the shipped probe.sh and of nothing else.
  module Probe
    SCRIPT = '/var/lib/openssl_patch/probe.sh'.freeze
    FIELDS = %w(pid kind service user library command).freeze
    COUNTED = %w(service init orphan).freeze

    # Returns the processes that keep the node from being clean, each a hash with FIELDS.
    # Raises when the answer is not whole: it is never read as clean.
    def self.stale(libraries)
      return [] unless ::File.exist?(SCRIPT) # a first --why-run: nothing was written

      answer = Mixlib::ShellOut.new('sh', SCRIPT, environment: { 'PROBE_LIBRARIES' => libraries.join(' ') }, timeout: 120)
      answer.run_command.error!
      lines = answer.stdout.lines.map { |line| line.chomp.split("\t", -1) }
      raise 'openssl_patch: probe.sh gave no whole answer' unless lines.first == ['styptic-probe 1'] && lines.last == ['end']

      found = lines.select { |word, *| word == 'stale' }.map { |_, *fields| FIELDS.zip(fields).to_h }
      found.select { |process| COUNTED.include?(process['kind']) }
    end
  end
end
