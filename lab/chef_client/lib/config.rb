# Chef's own configuration class, as Debian packages it, and the log that goes with it.

require "chef-config/config"
require "mixlib/log"
require_relative "strict"

class Chef
  Config = ChefConfig::Config

  class Log
    extend Mixlib::Log
  end

  # Reads client.rb and lays the command line's settings over it.
  def self.configure(path, settings)
    unless File.readable?(path)
      raise Exceptions::ConfigurationError, "cannot read the configuration file #{path}"
    end
    Config.config_file = path
    Config.from_file(path)
    Config.merge!(settings)
    where = Config[:log_location]
    Log.init(where.is_a?(String) && where != "STDOUT" ? File.open(where, "a").tap { |io| io.sync = true } : $stdout)
    Log.level = Config[:log_level] == :auto ? :warn : Config[:log_level]
  end
end
