module OpensslPatch
  # needrestart would restart services on its own in the middle of the transaction: needrestart(1), NEEDRESTART_SUSPEND.
  module Needrestart
    NAME = 'NEEDRESTART_SUSPEND'.freeze

    # Keeps it out of what the block does; returns what the block does.
    def self.suspended
      before = ENV[NAME]
      ENV[NAME] = '1'
      yield
    ensure
      ENV[NAME] = before
    end
  end
end
