module OpensslPatch
  # Day zero, when no advisory names a version: is what the node has the newest that its repositories offer? That it has the
  # fix nobody says yet.
  module Newest
    # Returns an Answer for each of the packages: vulnerable where a newer one is offered, newest where none is.
    def self.answers(packages)
      packages.map do |package|
        kind, said = judged(package, Repository.candidate(package))
        Minimum::Answer.new(package, kind, "#{package.full} #{package.version} #{said}")
      end
    end

    def self.judged(package, offered)
      return ['unknown', 'may or may not be the newest: no repository says what it offers of it'] unless [package.version, offered.to_s].all? { |version| Versions.parsed(version) }
      return ['vulnerable', "is not the newest that the repositories offer: #{offered}"] if Versions.below?(package.version, offered)

      ['newest', 'is the newest that the repositories offer; no advisory says yet that it has the fix']
    end
  end
end
