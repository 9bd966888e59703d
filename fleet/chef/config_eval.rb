# Evaluates config.rb files as knife does (instance_eval in an object where an unknown name is a setting), and prints
# the settings as JSON. Standard input: {"files": [path], "directory": path or null, "settings": {..}, "trusted": [path]},
# the settings of the credentials file and the files of config.d that may be run; where there are others, it answers
# with those alone, as "untrusted". It needs nothing but Ruby's own library; the error that stops it is JSON too.
require "json"

answer = $stdout.dup
$stdout.reopen($stderr) # a config.rb may print; only we answer

class StypticSettings
  def initialize(settings)
    @settings = settings
  end

  def [](name)
    @settings[name.to_sym]
  end

  def []=(name, value)
    @settings[name.to_sym] = value
  end

  # As a setting with a value: the table takes the place of the one before.
  def knife(value = nil)
    @settings[:knife] = value.transform_keys(&:to_sym) if value
    @settings[:knife]
  end

  # What Mixlib::Config does beside settings, as it does it: lib/mixlib/config.rb.
  def from_file(path)
    instance_eval(File.read(path, encoding: "UTF-8"), path, 1)
  end

  def configure
    yield self
  end

  def merge!(settings)
    settings.each { |name, value| self[name] = value }
  end

  def method_missing(name, *values, &block)
    if block || name.end_with?("?", "!") || %i[from_json from_toml from_yaml restore].include?(name)
      raise NoMethodError, "#{name} is no setting, and what it does is not known here"
    elsif name.to_s.end_with?("=")
      @settings[name[0..-2].to_sym] = values.first
    elsif values.empty?
      @settings[name]
    else
      @settings[name] = values.one? ? values.first : values
    end
  end

  def respond_to_missing?(*)
    true
  end
end

request = JSON.parse($stdin.read)
settings = request["settings"].transform_keys(&:to_sym)
settings[:knife] = (settings[:knife] || {}).transform_keys(&:to_sym)
settings[:config_file] = request["files"].first
settings[:config_dir] = request["directory"]
CONFIG = StypticSettings.new(settings)

# Files say Chef::Config[:x] as well as x.
module Chef
  Config = CONFIG
end

module ChefConfig
  Config = CONFIG
end

def plain(value)
  case value
  when Hash then value.to_h { |key, inner| [key.to_s, plain(inner)] }
  when Array then value.map { |inner| plain(inner) }
  when Integer, Float, true, false, nil then value
  else value.to_s
  end
end

reading = nil
begin
  load_file = lambda do |path|
    reading = path
    CONFIG.instance_eval(File.read(path, encoding: "UTF-8"), path, 1)
  end
  request["files"].each(&load_file)
  config_d = settings[:config_d_dir]&.to_s || (settings[:config_dir] && File.join(settings[:config_dir], "config.d"))
  names = config_d && File.directory?(config_d) ? Dir.children(config_d).sort : []
  names.select! { |name| name.end_with?(".rb") && !name.start_with?(".") }
  found = names.map { |name| File.join(config_d, name) }.select { |path| File.file?(path) }
  if (found - request["trusted"].to_a).any?
    answer.puts JSON.generate("untrusted" => found)
  else
    found.each { |path| load_file.call(path) }
    answer.puts JSON.generate("settings" => plain(settings), "files" => request["files"] + found)
  end
rescue Exception => e # SyntaxError, LoadError and SystemExit are no StandardError
  where = [e.message, *e.backtrace].filter_map { |line| line[/\A#{Regexp.escape(reading.to_s)}:(\d+)/, 1] }.first
  message = "#{e.class}: #{e.message.lines.first.to_s.strip}"
  answer.puts JSON.generate("error" => message, "file" => reading, "line" => where)
end
