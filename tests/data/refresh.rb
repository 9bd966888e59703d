# Refreshes what is said to be stale, by the cookbook's own libraries and with stand-ins for Chef and for the node around them.
# Input: {"rows": ..., "reloads": names of resources, "stale": {service: PID}}, null for a process that is begun here.
# Output: {"done": steps, "left": [[service, reason], ...], "alive": whether each process that was begun goes on}.
require 'json'
$LOADED_FEATURES << 'mixlib/shellout.rb'

class Chef
  module Log
    def self.warn(*); end
  end
end

module Mixlib
  class ShellOut
    class CommandTimeout < StandardError; end
  end
end

Dir[File.join(ARGV.fetch(0), 'libraries', '*.rb')].sort.each { |path| require path }

asked = JSON.parse($stdin.read)
stale = asked['stale']
begun = stale.select { |_, pid| pid.nil? }.keys.map { |name| stale[name] = Process.spawn('sleep', '60', out: :close) }
done = []

# A service resource: a restart helps, and of haproxy a reload does.
resource = Struct.new(:name, :run, :done, :stale) do
  def resource_name
    :service
  end

  def service_name
    name[/\A\S+/]
  end

  def run_action(action)
    done << "#{action} #{service_name}"
    stale.delete(service_name) if action == :restart || service_name == 'haproxy'
    run.acted(self, action)
  end
end

answer = Struct.new(:stdout) do
  def error?
    false
  end
end
OpensslPatch::Command.define_singleton_method(:run) { |*, **| answer.new('') }
OpensslPatch::Probe.define_singleton_method(:script) { |_| nil }
OpensslPatch::Probe.define_singleton_method(:look) do |*|
  found = stale.map { |name, pid| { 'pid' => pid.to_s, 'kind' => 'service', 'service' => name, 'library' => '/lib/libssl.so.3' } }
  { 'stale' => found, 'own_copies' => [], 'reboots' => [], 'unread' => 0 }
end

run = nil
collection = Object.new
collection.define_singleton_method(:find) { |said| resource.new(said[/\[(.*)\]/, 1], run, done, stale) }
run = OpensslPatch::Run.new(Struct.new(:resource_collection).new(collection))
run.join({ 'libraries' => ['libssl'], 'settle_seconds' => 0, 'drain_seconds' => 0 }, asked['rows'], [])
asked['reloads'].each { |name| run.acted(resource.new(name), :reload) }
run.refresh
left = OpensslPatch::Left.not_touched(OpensslPatch::Probe.look['stale'], asked['rows']).map { |entry| entry.values_at('service', 'because') }
# Whoever goes on ends by this signal, and nobody else does.
alive = begun.map { |pid| Process.kill(:KILL, pid) && Process.wait2(pid).last.termsig == 9 }
puts JSON.generate('done' => done, 'left' => left, 'alive' => alive)
