# What the stand-in does not know it refuses by name, so that no cookbook passes here on a guess.

require "chef-utils"
require "chef-utils/version"
require "mixlib/shellout"

class Chef
  VERSION = ChefUtils::VERSION # the release that Debian's Chef libraries, on which all this runs, are from

  module Standin
    BANNER = "This is Styptic's stand-in for chef-client: lab equipment, not Chef. It knows what Styptic's cookbook uses.".freeze

    # A resource, property, action, helper, constant or event that the stand-in does not know. No StandardError: neither
    # a cookbook's `rescue` nor `ignore_failure` may hide it.
    class Unknown < ScriptError
      def initialize(kind, name)
        super("the lab's stand-in for chef-client knows no #{kind} `#{name}'; only a real chef-client may know it")
      end
    end

    # Extended by each namespace that a cookbook may look into.
    module Strict
      def const_missing(name)
        raise Unknown.new("constant", "#{self}::#{name}")
      end
    end
  end

  extend Standin::Strict

  # The exceptions a cookbook or the runner raises, under the names Chef gives them.
  module Exceptions
    extend Standin::Strict

    class ConfigurationError < ArgumentError; end
    class CookbookNotFound < RuntimeError; end
    class RecipeNotFound < ArgumentError; end
    class FileNotFound < RuntimeError; end
    class Package < RuntimeError; end
    class Service < RuntimeError; end
    class UnsupportedAction < RuntimeError; end
    class ValidationFailed < ArgumentError; end
    class InvalidResourceSpecification < ArgumentError; end
    class ResourceNotFound < RuntimeError; end
    class EnclosingDirectoryDoesNotExist < ArgumentError; end
    class ChecksumMismatch < RuntimeError; end
    class Server < RuntimeError; end
    class RunLockTimeout < RuntimeError
      def initialize(seconds, pid)
        super("Unable to acquire lock. Waited #{seconds} seconds for #{pid} to release.")
      end
    end

    # Everything that went wrong once a run goes on after its first failure: the failed converge, then each failed
    # delayed notification.
    class MultipleFailures < RuntimeError
      def initialize(failures)
        @failures = failures
        super("Multiple failures occurred:\n" + failures.map { |kind, error| "* #{error.class} occurred in #{kind}: #{error.message}" }.join("\n"))
      end
    end
  end
end
