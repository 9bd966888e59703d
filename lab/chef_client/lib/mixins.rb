# The helpers every recipe, resource and provider has: chef-utils and mixlib-shellout are Chef's own.

require "json"
require "mixlib/shellout/helper"
require_relative "config"

class Chef
  module Mixin
    extend Standin::Strict

    # Tells chef-utils and mixlib-shellout where the configuration and the log are.
    module ChefUtilsWiring
      private

      def __config
        Chef::Config
      end

      def __log
        Chef::Log
      end

      def __transport_connection
        nil
      end
    end

    module ShellOut
      include Mixlib::ShellOut::Helper
      include ChefUtilsWiring
    end
  end

  module JSONCompat
    extend Standin::Strict

    def self.to_json(value)
      JSON.generate(value)
    end

    def self.to_json_pretty(value)
      JSON.pretty_generate(value)
    end

    def self.parse(text)
      JSON.parse(text)
    end
  end

  # A property's value that is worked out when it is read: lazy { ... }.
  class DelayedEvaluator < Proc
  end
end
